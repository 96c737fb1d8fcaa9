// Runs a Verilated module on whole arrays, called from Python through ctypes (flows/simulation/native.py).
//
// The wrapper `harness` has one wide input and one wide output; every port of the design under test starts at a 32-bit
// boundary of them. A row of `stimulus` is STIMULUS_WORDS words, a row of `response` RESPONSE_WORDS words.

#include <cstddef>
#include <cstdint>

#include "Vharness.h"
#include "verilated.h"

struct Model {
    VerilatedContext context;
    Vharness top;

    // 2: every variable without an initial value starts from the random sequence of `seed`
    static VerilatedContext* prepare(VerilatedContext* context, int seed) {
        context->randReset(2);
        context->randSeed(seed);
        return context;
    }
    // inputs start at 0, not at random: an asynchronous reset in the first row has to be an edge
    Model(int seed, const char* argument) : top(prepare(&context, seed)) {
        const char* arguments[] = {"model", argument};
        if (argument) context.commandArgs(2, arguments);
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = 0;
#if CLOCKED
        top.clk = 0;
#endif
#if FAST_RATIO > 1
        top.fast = 0;
#endif
#if MUTANTS
        top.mutant = 0;
#endif
#if WRITE_BIT >= 0
        top.hold = 0;
        top.write_clk = 0;
#endif
        top.eval();
    }
    ~Model() { top.final(); }
};

extern "C" {

// argument: a plusarg for the design, or null
Model* model_open(int seed, const char* argument) { return new Model(seed, argument); }

void model_close(Model* model) { delete model; }

void model_mutant(Model* model, uint32_t number) {
#if MUTANTS
    model->top.mutant = number;
#else
    (void)model;
    (void)number;
#endif
}

// One row per clock: apply the stimulus, settle, record the response, then the rising edge.
void model_run(Model* model, const uint32_t* stimulus, uint32_t* response, uint64_t rows) {
    Vharness& top = model->top;
    for (uint64_t row = 0; row < rows; ++row) {
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = stimulus[i];
#if CLOCKED
        top.clk = 0;
#endif
#if WRITE_BIT >= 0
        // the write port, and the clock of the registers behind it, move in rows with writes only
        const bool write = stimulus[WRITE_BIT / 32] >> (WRITE_BIT % 32) & 1;
        top.write_clk = 0;
        top.hold = write;
#endif
        top.eval();
        for (size_t i = 0; i < RESPONSE_WORDS; ++i) response[i] = top.response[i];
#if CLOCKED
        top.clk = 1;
#if WRITE_BIT >= 0
        top.write_clk = write;
        top.hold = 0;
#endif
#if FAST_RATIO > 1
        // FAST_RATIO edges of the internal clock in a row, the first one together with the edge of the clock
        for (int tick = 0; tick < FAST_RATIO; ++tick) {
            top.fast = 1;
            top.eval();
            top.fast = 0;
            top.eval();
        }
#else
        top.eval();
#endif
#endif
        stimulus += STIMULUS_WORDS;
        response += RESPONSE_WORDS;
    }
}

#if CLOCKED
// Rows of a stream with a handshake: a row with the bit `valid` set stays until the response shows the bit `ready`; the
// last row stays on. Of the responses only those with a bit of `strobes` (RESPONSE_WORDS words) are kept, each with its
// clock, until there are `capacity` of them or `clocks` clocks have passed. Returns how many; `*clocks` counts the clocks.
uint64_t model_stream(Model* model, const uint32_t* stimulus, uint64_t rows, uint64_t valid, uint64_t ready,
                      const uint32_t* strobes, uint32_t* response, uint64_t* times, uint64_t capacity,
                      uint64_t* clocks) {
    Vharness& top = model->top;
    uint64_t kept = 0, row = 0, clock = 0;
    for (; clock < *clocks && kept < capacity; ++clock) {
        const uint32_t* now = stimulus + row * STIMULUS_WORDS;
        for (size_t i = 0; i < STIMULUS_WORDS; ++i) top.stimulus[i] = now[i];
        top.clk = 0;
        top.eval();
        bool strobe = false;
        for (size_t i = 0; i < RESPONSE_WORDS; ++i) strobe |= (top.response[i] & strobes[i]) != 0;
        if (strobe) {
            for (size_t i = 0; i < RESPONSE_WORDS; ++i) response[kept * RESPONSE_WORDS + i] = top.response[i];
            times[kept++] = clock;
        }
        const bool waits = (now[valid / 32] >> (valid % 32) & 1) && !(top.response[ready / 32] >> (ready % 32) & 1);
        if (!waits && row + 1 < rows) ++row;
        top.clk = 1;
        top.eval();
    }
    *clocks = clock;
    return kept;
}
#endif
}
