// Reads handwritten digits with a net that is part of the program: on one thread, then in parts on threads of its own, with the same bits.

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <thread>
#include <vector>

#include "net.h"

namespace {

constexpr int batch = 64, pixels = 8 * 8, classes = 10;

// Four digits of 8x8 pixels: a space is black, '#' is white.
const char *const drawn[] = {
    "   ##   "
    "  ####  "
    " ##  ## "
    " ##  ## "
    " ##  ## "
    " ##  ## "
    "  ####  "
    "   ##   ",

    "   ##   "
    "  ###   "
    " ####   "
    "   ##   "
    "   ##   "
    "   ##   "
    "   ##   "
    "   ##   ",

    "  ####  "
    " ##  ## "
    "     ## "
    "   ###  "
    "     ## "
    "     ## "
    " ##  ## "
    "  ####  ",

    " ###### "
    "     ## "
    "    ##  "
    "  ##### "
    "   ##   "
    "  ##    "
    "  ##    "
    "  ##    ",
};
constexpr int kinds = sizeof drawn / sizeof *drawn;

// Scratch memory of the net, on the boundary that it needs.
struct Workspace {
    void *bytes;
    explicit Workspace(uint32_t parts)
        : bytes(::operator new(convoke_digits_workspace_bytes(parts), alignment)) {}
    ~Workspace() { ::operator delete(bytes, alignment); }
    Workspace(const Workspace &) = delete;

  private:
    static constexpr std::align_val_t alignment{CONVOKE_DIGITS_WORKSPACE_ALIGN};
};

// Runs the net on `parts` threads. All of them end a step before any begins the next.
int run(uint32_t parts, const float *images, float *logits) {
    Workspace workspace(parts);
    std::barrier step_done(parts);
    std::atomic<int> status = CONVOKE_OK;
    std::vector<std::thread> threads;
    for (uint32_t part = 0; part < parts; part++) {
        threads.emplace_back([&, part] {
            for (uint32_t step = 0; step < convoke_digits_steps(); step++) {
                if (int refused = convoke_digits_part(step, part, parts, images, logits, workspace.bytes)) status = refused;
                step_done.arrive_and_wait();
            }
        });
    }
    for (std::thread &thread : threads) thread.join();
    return status;
}

}  // namespace

int main() {
    std::vector<float> images(batch * pixels), alone(batch * classes), shared(batch * classes);
    for (int i = 0; i < batch; i++) {
        for (int j = 0; j < pixels; j++) images[i * pixels + j] = drawn[i % kinds][j] == '#' ? 1.0f : 0.0f;
    }

    Workspace workspace(1);
    if (convoke_digits(images.data(), alone.data(), workspace.bytes) != CONVOKE_OK) {
        std::fprintf(stderr, "the net did not run\n");
        return 1;
    }
    std::printf("the net reads");
    for (int i = 0; i < kinds; i++) {
        const float *of = &alone[i * classes];
        std::printf(" %d", int(std::max_element(of, of + classes) - of));
    }
    std::printf("\n");

    bool ok = true;
    for (uint32_t parts : {1, 2, 3, 5}) {
        std::fill(shared.begin(), shared.end(), -1.0f);
        bool same = run(parts, images.data(), shared.data()) == CONVOKE_OK &&
                    std::memcmp(alone.data(), shared.data(), alone.size() * sizeof(float)) == 0;
        std::printf("%u threads: %s\n", parts, same ? "ok, the same bits" : "OTHER BITS");
        ok = ok && same;
    }
    return ok ? 0 : 1;
}
