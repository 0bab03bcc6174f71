/*
 * Finds objects in a picture with YOLOv8n, which is part of the program: detect < PICTURE.ppm
 *
 * The picture has 320x320 pixels. A line is written for each object: class, score and box, in pixels.
 * With `detect -raw`, standard input has the net's input and standard output gets its output, both as f32 in the order of this machine.
 */
#include <stdio.h>
#include <string.h>

#include "yolo.h"

enum { SIDE = 320, PIXELS = SIDE * SIDE, BOXES = 2100, CLASSES = 18, MOST = 5 };

/* Red, green and blue planes, from 0 to 1. */
static float image[3][PIXELS];
/* For each box: centre, width and height, then a score for each class. */
static float found[4 + CLASSES][BOXES];
static _Alignas(64) unsigned char workspace[CONVOKE_YOLO_WORKSPACE_BYTES + 1];

static int fail(const char *why) {
    fprintf(stderr, "detect: %s\n", why);
    return 1;
}

static int read_ppm(void) {
    static unsigned char bytes[PIXELS][3];
    int width, height, largest;
    if (scanf("P6 %d %d %d", &width, &height, &largest) != 3) return 0;
    if (width != SIDE || height != SIDE || largest != 255) return 0;
    getchar(); /* the one white space between header and pixels */
    if (fread(bytes, 3, PIXELS, stdin) != PIXELS) return 0;
    for (int i = 0; i < PIXELS; i++) {
        for (int colour = 0; colour < 3; colour++) image[colour][i] = (float)bytes[i][colour] / 255;
    }
    return 1;
}

/* The common area of two boxes over the area of both. */
static float overlap(int a, int b) {
    float both = 1, areas[2] = {1, 1};
    for (int axis = 0; axis < 2; axis++) {
        const float *centre = found[axis], *size = found[axis + 2];
        float low_a = centre[a] - size[a] / 2, low_b = centre[b] - size[b] / 2;
        float high_a = low_a + size[a], high_b = low_b + size[b];
        float length = (high_a < high_b ? high_a : high_b) - (low_a > low_b ? low_a : low_b);
        both *= length > 0 ? length : 0;
        areas[0] *= size[a];
        areas[1] *= size[b];
    }
    return both / (areas[0] + areas[1] - both);
}

/* The boxes of the highest scores. Of boxes that overlap by half, the better one stands. */
static void write_best(void) {
    int kept[MOST], count = 0;
    static unsigned char dropped[BOXES];
    while (count < MOST) {
        int best = -1, kind = 0;
        float score = 0.25f;
        for (int box = 0; box < BOXES; box++) {
            for (int c = 0; c < CLASSES && !dropped[box]; c++) {
                if (found[4 + c][box] > score) best = box, kind = c, score = found[4 + c][box];
            }
        }
        if (best < 0) break;
        dropped[best] = 1;
        int covered = 0;
        for (int i = 0; i < count; i++) covered |= overlap(best, kept[i]) > 0.5f;
        if (covered) continue;
        kept[count++] = best;
        float x = found[0][best], y = found[1][best], width = found[2][best], height = found[3][best];
        printf("class %d, score %.2f, from (%.0f, %.0f) to (%.0f, %.0f)\n", kind, score, x - width / 2, y - height / 2,
               x + width / 2, y + height / 2);
    }
    if (!count) printf("nothing found\n");
}

int main(int count, char **args) {
    int raw = count == 2 && strcmp(args[1], "-raw") == 0;
    if (count != 1 && !raw) return fail("usage: detect [-raw] < PICTURE");
    if (raw && fread(image, sizeof image, 1, stdin) != 1) return fail("standard input is too short");
    if (!raw && !read_ppm()) return fail("standard input is no PPM picture of 320x320 pixels with 8 bits");

    int status = convoke_yolo(image[0], found[0], workspace);
    if (status == CONVOKE_CPU) return fail("this CPU lacks instructions that the code needs");
    if (status != CONVOKE_OK) return fail("the net did not run");

    if (!raw) return write_best(), 0;
    return fwrite(found, sizeof found, 1, stdout) == 1 ? 0 : fail("standard output cannot be written");
}
