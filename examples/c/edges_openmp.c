/* Finds the edges of a picture on OpenMP's threads, and compares the result with that of one thread. */
#include <omp.h>
#include <string.h>

#include "edges.h"
#include "picture.h"

static float image[PIXELS], alone[PIXELS], shared[PIXELS];

/* A step begins when all parts of the one before have ended: the end of each parallel loop waits for them. */
static int run(int parts, const float *input, float *output, void *workspace) {
    int status = CONVOKE_OK;
    for (uint32_t step = 0; step < convoke_edges_steps(); step++) {
#pragma omp parallel for reduction(| : status)
        for (int part = 0; part < parts; part++) {
            status |= convoke_edges_part(step, (uint32_t)part, (uint32_t)parts, input, output, workspace);
        }
    }
    return status;
}

int main(void) {
    int parts = omp_get_max_threads();
    /* More parts may need more scratch. `aligned_alloc` takes whole multiples of the alignment. */
    size_t align = CONVOKE_EDGES_WORKSPACE_ALIGN;
    size_t bytes = (convoke_edges_workspace_bytes((uint32_t)parts) / align + 1) * align;
    void *workspace = aligned_alloc(align, bytes);
    if (!workspace) fail("no memory", "edges_openmp");

    draw(image);
    if (convoke_edges(image, alone, workspace) != CONVOKE_OK) fail("the layer did not run", "edges_openmp");
    if (run(parts, image, shared, workspace) != CONVOKE_OK) fail("a part did not run", "edges_openmp");
    free(workspace);

    int same = memcmp(alone, shared, sizeof alone) == 0;
    printf("%d threads, %u steps: %s\n", parts, convoke_edges_steps(), same ? "the same bits as on one" : "OTHER BITS than on one");
    return !same;
}
