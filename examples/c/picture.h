/* Grey pictures of 512x512 pixels, read and written as PGM, the plainest of picture formats. */
#ifndef PICTURE_H
#define PICTURE_H

#include <stdio.h>
#include <stdlib.h>

enum { SIDE = 512, PIXELS = SIDE * SIDE };

static inline void fail(const char *what, const char *name) {
    fprintf(stderr, "%s: %s\n", name, what);
    exit(1);
}

/* A disc on a ramp of grey, with a bar across it. */
static inline void draw(float *pixels) {
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            int y = row - SIDE / 2, x = column - SIDE / 2;
            float grey = 0.25f * (float)column / SIDE;
            if (x * x + y * y < 160 * 160) grey = 0.75f;
            if (abs(x - y) < 24) grey = 1;
            pixels[row * SIDE + column] = grey;
        }
    }
}

/* Pixels from 0 to 1. */
static inline void read_pgm(const char *name, float *pixels) {
    static unsigned char bytes[PIXELS];
    int width, height, largest;
    FILE *file = fopen(name, "rb");
    if (!file) fail("it cannot be read", name);
    if (fscanf(file, "P5 %d %d %d", &width, &height, &largest) != 3) fail("it is no PGM picture without comments", name);
    if (width != SIDE || height != SIDE || largest != 255) fail("it is not of 512x512 pixels with 8 bits", name);
    fgetc(file); /* the one white space between header and pixels */
    if (fread(bytes, 1, PIXELS, file) != PIXELS) fail("it ends too early", name);
    fclose(file);
    for (int i = 0; i < PIXELS; i++) pixels[i] = (float)bytes[i] / 255;
}

/* Pixels below 0 become black, those above 1 white. */
static inline void write_pgm(const char *name, const float *pixels) {
    static unsigned char bytes[PIXELS];
    for (int i = 0; i < PIXELS; i++) {
        float grey = pixels[i] < 0 ? 0 : pixels[i] > 1 ? 1 : pixels[i];
        bytes[i] = (unsigned char)(grey * 255 + 0.5f);
    }
    FILE *file = fopen(name, "wb");
    if (!file) fail("it cannot be written", name);
    fprintf(file, "P5\n%d %d\n255\n", SIDE, SIDE);
    if (fwrite(bytes, 1, PIXELS, file) != PIXELS || fclose(file)) fail("it cannot be written", name);
}

#endif
