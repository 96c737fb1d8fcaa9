// Runs a Verilated chip with serial links on whole words, called from Python (flows/simulation/serial_chip.py).
//
// The rows are those of harness.cpp with 32-bit words of the links behind them: of LINKS receivers and the command line
// in the stimulus, of OUT_LINKS transmitters in the response. The wires carry them bit by bit, bit 31 first: a bit is at
// a receiver's pin, at all of its TAPS samples, when the edge of the bit clock takes it; what is seen of a transmitter
// is its pin just before each edge. LINKS_BIT, COMMAND_BIT and OUT_BIT say where the pins lie in the wrapper's ports.

#include <cstddef>
#include <cstdint>

#include "Vharness.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif

namespace {

const size_t IN_WORDS = STIMULUS_WORDS + LINKS + 1;
const size_t ALL_OUT_WORDS = RESPONSE_WORDS + OUT_LINKS;
const int BITS = 32;
const uint64_t CROSSING_PS = 25000;

void put(uint32_t* words, size_t bit, uint32_t value, size_t width) {
    for (size_t i = 0; i < width;) {
        const size_t word = (bit + i) / 32, low = (bit + i) % 32;
        const size_t count = width - i < 32 - low ? width - i : 32 - low;
        const uint32_t mask = (count == 32 ? ~0u : (1u << count) - 1) << low;
        words[word] = (words[word] & ~mask) | (value >> i << low & mask);
        i += count;
    }
}

}  // namespace

struct Model {
    VerilatedContext context;
    Vharness top;
    uint64_t crossing = 0;
#if VM_TRACE
    VerilatedVcdC waves;
#endif

    // 2: every variable without an initial value starts from the random sequence of `seed`
    static VerilatedContext* prepare(VerilatedContext* context, int seed) {
        context->randReset(2);
        context->randSeed(seed);
        context->traceEverOn(VM_TRACE);
        return context;
    }
    // inputs start at 0, not at random: an asynchronous reset in the first row has to be an edge
    Model(int seed, const char* argument) : top(prepare(&context, seed)) {
        const char* arguments[] = {"model", argument};
        if (argument) context.commandArgs(2, arguments);
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = 0;
        top.clk = 0;
        top.fast = 0;
        top.eval();
    }
    ~Model() {
        top.final();
#if VM_TRACE
        waves.close();
#endif
    }

    // record all signals at a time within the crossing, where a file was asked for
    void record(uint64_t ps) {
#if VM_TRACE
        if (waves.isOpen()) waves.dump(crossing * CROSSING_PS + ps);
#else
        (void)ps;
#endif
    }
};

extern "C" {

Model* model_open(int seed, const char* argument) { return new Model(seed, argument); }

void model_close(Model* model) { delete model; }

void model_mutant(Model*, uint32_t) {}

// Record every signal from now on into a VCD file; 0 where the library was built without.
int model_waves(Model* model, const char* path) {
#if VM_TRACE
    model->top.trace(&model->waves, 99);
    model->waves.set_time_unit("1ps");
    model->waves.set_time_resolution("1ps");
    model->waves.open(path);
    return model->waves.isOpen();
#else
    (void)model;
    (void)path;
    return 0;
#endif
}

uint64_t model_stream(Model*, const uint32_t*, uint64_t, uint64_t, uint64_t, const uint32_t*, uint32_t*, uint64_t*,
                      uint64_t, uint64_t*) {
    return 0;
}

// One row per crossing: the parallel ports settle and are recorded, then the edges of both clocks.
void model_run(Model* model, const uint32_t* stimulus, uint32_t* response, uint64_t rows) {
    Vharness& top = model->top;
    for (uint64_t row = 0; row < rows; ++row, stimulus += IN_WORDS, response += ALL_OUT_WORDS) {
        const uint32_t* lines = stimulus + STIMULUS_WORDS;
        uint32_t* seen = response + RESPONSE_WORDS;
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = stimulus[i];
        for (size_t link = 0; link < OUT_LINKS; ++link) seen[link] = 0;
        for (int tick = 0; tick < BITS; ++tick) {
            for (size_t link = 0; link < LINKS; ++link) {
                const uint32_t bit = lines[link] >> (BITS - 1 - tick) & 1;
                put(&top.stimulus[0], LINKS_BIT + TAPS * link, bit ? ~0u : 0u, TAPS);
            }
            put(&top.stimulus[0], COMMAND_BIT, lines[LINKS] >> (BITS - 1 - tick) & 1, 1);
            if (tick == 0) {
                top.clk = 0;
                top.eval();
                for (size_t i = 0; i < RESPONSE_WORDS; ++i) response[i] = top.response[i];
                top.clk = 1;
            }
            for (size_t link = 0; link < OUT_LINKS; ++link) {
                const size_t bit = OUT_BIT + link;
                seen[link] = seen[link] << 1 | (top.response[bit / 32] >> bit % 32 & 1);
            }
            top.fast = 1;
            top.eval();
            model->record(CROSSING_PS * (2 * tick) / (2 * BITS));
            top.fast = 0;
            if (tick == BITS / 2) top.clk = 0;
            top.eval();
            model->record(CROSSING_PS * (2 * tick + 1) / (2 * BITS));
        }
        ++model->crossing;
    }
}
}
