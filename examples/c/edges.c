/* Finds the edges of a picture: edges [PICTURE.pgm [RESULT.pgm]]. It draws a picture if none is given. */
#include "edges.h"
#include "picture.h"

static float image[PIXELS], edges[PIXELS];

/* The layer allocates nothing. Its scratch memory is ours; here it lives as long as the program. */
static _Alignas(CONVOKE_EDGES_WORKSPACE_ALIGN) unsigned char workspace[CONVOKE_EDGES_WORKSPACE_BYTES + 1];

int main(int count, char **args) {
    const char *result = count > 2 ? args[2] : "edges.pgm";
    if (count > 1) {
        read_pgm(args[1], image);
    } else {
        draw(image);
        write_pgm("picture.pgm", image);
    }
    if (convoke_edges(image, edges, workspace) != CONVOKE_OK) fail("the layer did not run", args[0]);
    write_pgm(result, edges);

    int found = 0;
    for (int i = 0; i < PIXELS; i++) found += edges[i] > 0.5f;
    printf("%s: %d of %d pixels are on an edge\n", result, found, PIXELS);
    return 0;
}
