"""Runs the program on the pixels of an array, and compares its output with another array, bit for bit: compare.py PROGRAM INPUT.npy OUTPUT.npy."""

import subprocess
import sys

import numpy as np

program, given, expected = sys.argv[1:]
got = subprocess.run([program, "-raw"], input=np.load(given).tobytes(), stdout=subprocess.PIPE, check=True).stdout
if got != np.load(expected).tobytes():
    sys.exit("OTHER BITS than `convoke run`")
print("the same bits as `convoke run`")
