"""python setup.py build_ext --inplace"""

from Cython.Build import cythonize
from setuptools import setup

setup(name="fast", ext_modules=cythonize("fast.pyx"))
