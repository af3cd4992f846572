"""Prints the folders in which pip keeps CUDA's libraries, joined by colons: nvidia/*/lib."""

import glob
import os
import site
import sysconfig

roots = {sysconfig.get_paths()["purelib"], *site.getsitepackages()}
files = [file for root in roots for file in glob.glob(root + "/nvidia/**/lib/lib*.so*", recursive=True)]
print(":".join(sorted({os.path.dirname(file) for file in files})))
