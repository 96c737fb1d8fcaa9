// Injects faults into a Verilated chip, called from Python through ctypes (flows/campaign/rtl.py).
//
// The generated Verilog has hooks: a register `<name>_flip` beside every flip-flop, which is added (exclusive or) to what
// the flip-flop takes at the next clock edge, and one beside some nets, which inverts the net for the clock after the
// edge. Both are 0 but for the one edge at which a fault is injected. The wrapper `harness` is that of flows/simulation/native.py.
//
// STORE_BIT is the place of the clock of the store in the stimulus, -1 if the store has none of its own. It ticks with
// the clock where something may change in the store: see `edge`.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "Vharness.h"
#include "Vharness___024root.h"
#include "Vharness__Syms.h"
#include "verilated.h"
#include "verilated_syms.h"

// Part of a variable that is compared: `mask` picks bits of up to 8 bytes.
struct Part {
    const uint8_t* data;
    uint32_t bytes;
    uint64_t mask;
};

struct Event {
    int32_t delay;  // clocks after the injection
    int32_t hook;   // -1: reset
    int32_t bit;
};

struct Model {
    VerilatedContext context;
    Vharness top;
    std::vector<uint8_t*> hooks;
    std::vector<const uint8_t*> bytes;
    std::vector<Part> parts;
    std::vector<Part> counters;
    std::vector<uint8_t> saved;
    std::vector<uint8_t> begin;
    std::vector<uint8_t*> enables;  // write enables of the store, as pairs that differ when one is on
    std::vector<uint8_t> in_store;  // of each hook
    bool heals = false;             // the store corrects itself
    bool stirred = false;           // it was upset or written since a fault began

    static VerilatedContext* prepare(VerilatedContext* context, int seed) {
        context->randReset(2);
        context->randSeed(seed);
        return context;
    }
    explicit Model(int seed) : top(prepare(&context, seed)) {
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = 0;
        top.clk = 0;
        top.eval();
        saved.resize(sizeof(Vharness__Syms));
    }
    ~Model() { top.final(); }

    uint8_t* state() { return reinterpret_cast<uint8_t*>(top.rootp->vlSymsp); }
    // every variable of the model lies in this object; nothing is allocated while it runs
    void save() { std::memcpy(saved.data(), state(), saved.size()); }
    void restore() { std::memcpy(state(), saved.data(), saved.size()); }

    void apply(const uint32_t* row, bool reset) {
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = row[i];
        if (reset) top.stimulus[RESET_BIT / 32] |= 1u << RESET_BIT % 32;
        top.clk = 0;
        top.eval();
    }
    void flip(const Event* events, size_t count, int64_t delay) {
        for (size_t i = 0; i < count; ++i)
            if (events[i].hook >= 0 && events[i].delay == delay)
                hooks[events[i].hook][events[i].bit / 8] ^= 1 << events[i].bit % 8;
    }
    bool writes() const {
        for (size_t i = 0; i + 1 < enables.size(); i += 2)
            if (*enables[i] != *enables[i + 1]) return true;
        return false;
    }
    // The rising edge, with the events of this delay. The store ticks if `tick` says so, is written, is upset, or
    // corrects itself and was written or upset before: copies may differ.
    void edge(const Event* events, size_t count, int64_t delay, bool tick = false) {
        top.clk = 1;
#if STORE_BIT >= 0
        tick = tick || writes() || (heals && stirred);
        for (size_t i = 0; i < count && !tick; ++i)
            tick = events[i].hook >= 0 && in_store[events[i].hook] && events[i].delay == delay;
        stirred = stirred || tick;
        if (tick) top.stimulus[STORE_BIT / 32] |= 1u << STORE_BIT % 32;
#endif
        flip(events, count, delay);
#if FAST_RATIO > 1
        // upsets come with the first edge of the internal clock, which is that of the clock
        for (int tick = 0; tick < FAST_RATIO; ++tick) {
            top.fast = 1;
            top.eval();
            if (tick == 0) flip(events, count, delay);
            top.fast = 0;
            top.eval();
        }
#else
        top.eval();
        flip(events, count, delay);
#endif
    }
    void edge() { edge(nullptr, 0, 0); }

    static uint64_t mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 0x9E3779B97F4A7C15u ^ hash >> 29; }
    static uint64_t digest(const std::vector<Part>& list, uint64_t hash) {
        for (const Part& part : list) {
            uint64_t value = 0;
            std::memcpy(&value, part.data, part.bytes);
            hash = mix(hash, value & part.mask);
        }
        return hash;
    }
    uint64_t state_hash() const {
        // whole bytes, which are nearly all, in four chains that the processor works on at once
        uint64_t chain[4] = {1, 2, 3, 4};
        size_t i = 0;
        for (; i + 4 <= bytes.size(); i += 4)
            for (size_t k = 0; k < 4; ++k) chain[k] = mix(chain[k], *bytes[i + k]);
        for (; i < bytes.size(); ++i) chain[0] = mix(chain[0], *bytes[i]);
        return digest(parts, mix(mix(chain[0], chain[1]), mix(chain[2], chain[3])));
    }
    uint64_t counter_hash() const { return digest(counters, 5); }
};

struct Injection {
    int64_t clock;
    int64_t window;    // clocks to watch at most
    int64_t patience;  // clocks before which states are not compared
    int32_t first;     // of its events
    int32_t events;
};

struct Result {
    int64_t watched;
    int64_t first_wrong;  // clocks, -1: none
    int64_t last_wrong;
    int32_t wrong;
    int32_t bus_wrong;
    int32_t stopped;
    int32_t counted;  // an error counter differs
    int32_t persistent;
    int32_t unused;
};

static uint8_t* find(Model* model, const std::string& scope, const std::string& name) {
    const VerilatedScope* found = model->context.scopeFind(scope.c_str());
    const VerilatedVar* variable = found ? found->varFind(name.c_str()) : nullptr;
    return variable ? static_cast<uint8_t*>(variable->datap()) : nullptr;
}

// Variables of lines "scope variable"; returns the number of the first one that is not there, -1 if all are.
static int64_t bind(Model* model, const char* lines, std::vector<uint8_t*>& found) {
    found.clear();
    for (const char* at = lines; *at;) {
        const char* space = std::strchr(at, ' ');
        const char* end = std::strchr(at, '\n');
        uint8_t* data = find(model, std::string(at, space), std::string(space + 1, end));
        if (!data) return found.size();
        found.push_back(data);
        at = end + 1;
    }
    return -1;
}

extern "C" {

Model* faults_open(int seed) { return new Model(seed); }

void faults_close(Model* model) { delete model; }

int64_t faults_bind_hooks(Model* model, const char* lines) { return bind(model, lines, model->hooks); }

// In pairs.
int64_t faults_bind_enables(Model* model, const char* lines) { return bind(model, lines, model->enables); }

// Which hooks lie in the store, and whether it corrects itself.
void faults_store(Model* model, const uint8_t* in_store, int heals) {
    model->in_store.assign(in_store, in_store + model->hooks.size());
    model->heals = heals;
}

// The state that the workload begins with.
void faults_keep(Model* model) {
    model->save();
    model->begin = model->saved;
}

void faults_restart(Model* model) {
    model->saved = model->begin;
    model->restore();
}

// Lines "scope variable offset bytes mask counter": parts of flip-flop variables that are compared.
int64_t faults_bind_state(Model* model, const char* lines) {
    model->bytes.clear();
    model->parts.clear();
    model->counters.clear();
    int64_t number = 0;
    for (const char* at = lines; *at; ++number) {
        const char* end = std::strchr(at, '\n');
        const std::string line(at, end);
        const size_t a = line.find(' '), b = line.find(' ', a + 1);
        uint8_t* data = find(model, line.substr(0, a), line.substr(a + 1, b - a - 1));
        if (!data) return number;
        char* rest = nullptr;
        const unsigned long offset = std::strtoul(line.c_str() + b, &rest, 10);
        const unsigned long size = std::strtoul(rest, &rest, 10);
        const unsigned long long mask = std::strtoull(rest, &rest, 16);
        const bool counter = std::strtoul(rest, &rest, 10) != 0;
        if (counter) model->counters.push_back({data + offset, static_cast<uint32_t>(size), mask});
        else if (size == 1 && mask == 0xFF) model->bytes.push_back(data + offset);
        else model->parts.push_back({data + offset, static_cast<uint32_t>(size), mask});
        at = end + 1;
    }
    return -1;
}

uint64_t faults_state_bytes(Model* model) { return model->saved.size(); }

// Rows as model_run of harness.cpp. Events (ascending by delay, which counts from the first row) come at the start of
// row `delay`. `states` and `counts`, if given, get hashes of the flip-flops at the start of each row.
void faults_rows(Model* model, const uint32_t* stimulus, uint32_t* response, uint64_t rows, const Event* events,
                 uint64_t count, uint64_t* states, uint64_t* counts) {
    uint64_t next = 0;
    for (uint64_t row = 0; row < rows; ++row) {
        if (states) {
            states[row] = model->state_hash();
            counts[row] = model->counter_hash();
        }
        model->apply(stimulus + row * STIMULUS_WORDS, false);
        for (size_t i = 0; i < RESPONSE_WORDS; ++i) response[row * RESPONSE_WORDS + i] = model->top.response[i];
        const uint64_t first = next;
        while (next < count && events[next].delay == static_cast<int64_t>(row) + 1) ++next;
        model->edge(events + first, next - first, row + 1, true);
    }
}

// Injections, ascending by clock, into a chip that stands at the start of row 0 of the workload.
//
// The chip without fault advances row by row; before the edge that begins row `clock` its state is saved, and every
// fault of that row starts from there. Each runs on until its flip-flops are those of the chip without fault (`states`,
// error counters apart), or to the end of its window or of the workload. `expected` holds what the outputs should show,
// `frame_care` and `bus_care` which bits of it are frames and which the bus. A fault is watched
// for `enough` rows more when the bus was wrong, and no more after `enough` empty frames one after the other.
//
// Returns -1, or the row before an injection at which the chip without fault is not in its state of `states`.
int64_t faults_inject(Model* model, const uint32_t* stimulus, const uint32_t* expected, uint64_t rows,
                      const uint32_t* frame_care, const uint32_t* bus_care, const uint64_t* states,
                      const uint64_t* counts, const Injection* injections, uint64_t number, const Event* events,
                      int64_t enough, Result* results) {
    uint64_t front = 0;
    bool mid = false;  // the row before the edge has been applied
    for (uint64_t n = 0; n < number; ++n) {
        const Injection& injection = injections[n];
        const uint64_t before = injection.clock - 1;
        if (mid && front != before) {
            model->restore();
            model->edge();
            ++front;
            mid = false;
        }
        for (; front < before; ++front) {
            model->stirred = false;
            model->apply(stimulus + front * STIMULUS_WORDS, false);
            model->edge();
        }
        if (!mid) {
            if (model->state_hash() != states[front]) return front;
            model->apply(stimulus + front * STIMULUS_WORDS, false);
            model->save();
            mid = true;
        } else {
            model->restore();
        }
        Result result = {0, -1, -1, 0, 0, 0, 0, 1, 0};
        model->stirred = false;
        int64_t last_right = before;  // row of the last frame that was right or not empty
        int64_t bus_since = -1;
        const Event* own = events + injection.first;
        int32_t last = 0;
        for (int32_t i = 0; i < injection.events; ++i) last = own[i].delay > last ? own[i].delay : last;
        for (uint64_t row = before;; ++row) {
            // the events of the edge that begins row + 1
            const int64_t delay = static_cast<int64_t>(row) + 1 - injection.clock;
            model->edge(own, injection.events, delay);
            const uint64_t now = row + 1;
            const int64_t age = static_cast<int64_t>(now) - injection.clock;
            // the last row is left out: the hash of the flip-flops after it is not known
            if (now + 1 >= rows || age >= injection.window) break;
            // nothing worse can come
            if (result.stopped || (bus_since >= 0 && static_cast<int64_t>(now) - bus_since > enough)) break;
            // the edge after the last event may put everything right; later ones are looked at less often
            if (age > last && age >= injection.patience && (age < 12 || age % 8 == 0) && model->state_hash() == states[now]) {
                result.persistent = 0;
                result.counted = model->counter_hash() != counts[now];
                break;
            }
            bool reset = false;
            for (int32_t i = 0; i < injection.events; ++i) reset |= own[i].hook < 0 && own[i].delay == age;
            model->apply(stimulus + now * STIMULUS_WORDS, reset);
            ++result.watched;
            bool frame = false, bus = false, empty = true;
            for (size_t i = 0; i < RESPONSE_WORDS; ++i) {
                const uint32_t differs = model->top.response[i] ^ expected[now * RESPONSE_WORDS + i];
                frame |= (differs & frame_care[i]) != 0;
                empty &= (model->top.response[i] & frame_care[i]) == 0;
                bus |= (differs & bus_care[i]) != 0;
            }
            result.bus_wrong += bus;
            if (bus && bus_since < 0) bus_since = now;
            if (!frame || !empty) last_right = now;
            result.stopped = static_cast<int64_t>(now) - last_right >= enough;
            if (frame) {
                ++result.wrong;
                if (result.first_wrong < 0) result.first_wrong = now;
                result.last_wrong = now;
            }
        }
        if (result.persistent) {
            const uint64_t at = static_cast<uint64_t>(injection.clock) + result.watched;
            result.persistent = model->state_hash() != states[at];
            result.counted = model->counter_hash() != counts[at];
        }
        results[n] = result;
    }
    return -1;
}
}
