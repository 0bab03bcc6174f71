"""Runs ocr.ipynb from its first cell to its last, and writes the result to the file that is named: notebook.py RESULT.ipynb."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

here = Path(__file__).parent
notebook = nbformat.read(here / "ocr.ipynb", as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(here)}}, record_timing=False).execute()

# The file is small, and knows nothing of the machine that made it.
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        output.get("data", {}).pop("image/jpeg", None)  # each picture is there as PNG
notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
nbformat.write(notebook, sys.argv[1])
