"""What CPython's own pickle module makes of tensors whose sizes lie around the limits of its framing.

    python3 cpython.py > cpython.txt

One line a tensor: dtype, shape, scale groups, file size, SHA-256 of the file. Byte i of an array is
(31*i + 7) % 256. The classes stand in for those of numpy and ml_dtypes, which need not be installed.
"""
import hashlib
import io
import math
import pickle
import sys
import types


def module(name, **names):
    m = sys.modules[name] = types.ModuleType(name)
    for key, value in names.items():
        value.__module__, value.__qualname__, value.__name__ = name, key, key
        setattr(m, key, value)


class dtype:
    def __init__(self, name):
        self.name = name

    def __reduce__(self):
        of = bfloat16 if self.name == 'bfloat16' else self.name
        order = '|' if self.name == 'i1' else '<'
        size, flags = (2, 80) if self.name == 'bfloat16' else (-1, 0)
        return dtype, (of, False, True), (3, order, None, None, None, size, size, flags)


class ndarray:
    def __init__(self, name, shape):
        size = math.prod(shape) * {'f4': 4, 'i1': 1, 'bfloat16': 2}[name]
        data = bytes((31 * i + 7) % 256 for i in range(256)) * (size // 256 + 1)
        self.name, self.shape, self.data = name, shape, data[:size]

    def __reduce__(self):
        # tuple([0]): numpy makes a new one each time, so it is not found in the memo
        return _reconstruct, (ndarray, tuple([0]), b'b'), (1, self.shape, dtype(self.name), False, self.data)


class bfloat16:
    pass


def _reconstruct(*_):
    raise NotImplementedError


class QuantizedWeight8bit:
    pass


module('numpy.core.multiarray', _reconstruct=_reconstruct)
module('numpy.core')
module('numpy', ndarray=ndarray, dtype=dtype)
module('ml_dtypes', bfloat16=bfloat16)

CASES = [
    ('f4', (1,), 0), ('f4', (63,), 0), ('f4', (64,), 0), ('f4', (256,), 0), ('f4', (16383,), 0), ('f4', (16384,), 0),
    ('f4', (65536,), 0), ('f4', (3, 5, 7), 0),
    ('i1', (1, 3), 1), ('i1', (255, 1), 5), ('i1', (256, 1), 256), ('i1', (1, 65535), 1), ('i1', (1, 65536), 1),
    ('i1', (2, 32620), 1),   # the frame of the weight fills up at the end of the scales' structure,
    ('i1', (2, 32640), 1),   # inside it,
    ('i1', (2, 32660), 1),   # at its beginning,
    ('i1', (2, 32750), 2),   # before it
    ('i1', (8, 8191), 4),    # scales just below 64 KiB
    ('i1', (8, 8192), 4),    # both outside of frames
    ('i1', (4, 4, 4000), 4), # an expert dimension; weight inside a frame, scales outside
    ('i1', (3, 70000, 2), 7),
]
for name, shape, groups in CASES:
    value = ndarray(name, shape)
    if groups:
        weight, value = value, QuantizedWeight8bit()
        value.weight = weight
        value.scales = ndarray('bfloat16', shape[:-2] + (groups, shape[-1]))
    out = io.BytesIO()
    pickle.Pickler(out, protocol=4).dump(value)
    data = out.getvalue()
    print(name, 'x'.join(map(str, shape)), groups, len(data), hashlib.sha256(data).hexdigest())
