#!/usr/bin/env python3
"""Layers drawn at random, as a table for the harness of the peers and for the bench `selection`.

    sample.py shapes SHAPES.csv SEED N   N shapes of a table with a column `count`, by how often they occur, each at most once
    sample.py rows SEED N                N layers of one row: 16-512 channels, 1-16 taps, 1,000-200,000 pixels, steps 1-8, dilations 1-4096

Columns of SHAPES.csv: n, c, h, w, oc, oh, ow, kh, kw, pt, pl, pb, pr, sh, sw, dh, dw, groups, count.
"""
import csv
import math
import random
import sys

HEADINGS = "name,network,n,c,h,w,oc,kh,kw,sh,sw,ph,pw,dh,dw,groups,act"
# Multiply-adds of the largest layer.
MOST = 2e9
# Bytes of the largest images in and out.
MOST_BYTES = 300e6


def shapes(path, seed, count):
    """Shapes with even pads, which is all that the harness knows."""
    draw, rows = random.Random(seed), []
    with open(path) as file:
        for row in csv.DictReader(file):
            s = {key: int(value) for key, value in row.items()}
            work = s["n"] * s["oc"] * s["oh"] * s["ow"] * s["c"] // s["groups"] * s["kh"] * s["kw"]
            if s["pt"] == s["pb"] and s["pl"] == s["pr"] and work <= MOST:
                rows.append(s)
    weights, drawn = [s["count"] for s in rows], []
    while len(drawn) < min(count, len(rows)):
        at = draw.choices(range(len(rows)), weights)[0]
        if at not in drawn:
            drawn.append(at)
    for i, s in enumerate(rows[at] for at in drawn):
        columns = ("n", "c", "h", "w", "oc", "kh", "kw", "sh", "sw", "pt", "pl", "dh", "dw", "groups")
        yield f"s{i:03},shapes," + ",".join(str(s[column]) for column in columns) + ",none"


def rows(seed, count):
    draw, made = random.Random(seed), 0

    def between(low, high):
        return round(math.exp(draw.uniform(math.log(low), math.log(high))))

    while made < count:
        c, oc, taps, width = between(16, 512), between(16, 512), draw.randint(1, 16), between(1000, 200_000)
        step = draw.choice([1, 1, 1, 2, 2, 3, 4, 5, 8])
        dilation = 2 ** draw.randint(0, 12) if step == 1 and taps > 1 and draw.random() < 0.5 else 1
        reach = (taps - 1) * dilation + 1
        if reach > width:
            continue
        pad = reach // 2 if draw.random() < 0.6 else 0
        out = (width + 2 * pad - reach) // step + 1
        if out * c * oc * taps <= MOST and (c * width + oc * out) * 4 <= MOST_BYTES:
            yield f"r{made:02},rows,1,{c},1,{width},{oc},1,{taps},1,{step},0,{pad},1,{dilation},1,none"
            made += 1


def main(args):
    match args:
        case ["shapes", path, seed, count]:
            lines = shapes(path, int(seed), int(count))
        case ["rows", seed, count]:
            lines = rows(int(seed), int(count))
        case _:
            sys.exit(__doc__)
    print(HEADINGS, *lines, sep="\n")


main(sys.argv[1:])
