"""Reads model directories in xAI's Grok-1 format: config.json and ckpt-0/tensorNNNNN_000.

The reader is an unpickler that knows seven names and builds nothing but the small classes below, so a hostile
file can raise an error but not run code. It is independent of the Go reader, so that the two can be compared.
"""
import json, math, os, pickle
import numpy as np


class Refused(Exception):
    """The input is not usable; the text says which file, what was found and what was wanted."""


# ------------------------------------------------------------------ reading one tensor file
class _Token:
    """Stands for numpy.ndarray, which is only ever passed around."""


class _Bfloat16:
    """Stands for ml_dtypes.bfloat16."""


class _Dtype:
    def __init__(self, spec, align=False, copy=True):
        self.code = 'bf16' if spec is _Bfloat16 else spec
        if self.code not in ('i1', 'f4', 'bf16'):
            raise Refused('dtype %r, wanted int8, float32 or bfloat16' % (spec,))

    def __setstate__(self, state):
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ('<', '|'):
            raise Refused('dtype state %r, wanted little-endian' % (state,))


class _Array:
    def __setstate__(self, state):
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused('array state')
        version, shape, dtype, fortran, raw = state
        if version != 1 or fortran is not False or not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise Refused('array state')
        if not isinstance(shape, tuple) or not all(type(n) is int and n > 0 for n in shape):
            raise Refused('array shape %r' % (shape,))
        size = {'i1': 1, 'f4': 4, 'bf16': 2}[dtype.code]
        if math.prod(shape) * size != len(raw):
            raise Refused('%d payload bytes for shape %s of %s' % (len(raw), shape, dtype.code))
        self.code = dtype.code
        self.data = np.frombuffer(raw, {'i1': 'i1', 'f4': '<f4', 'bf16': '<u2'}[dtype.code]).reshape(shape)


def _reconstruct(kind, shape, tag):
    if kind is not _Token:
        raise Refused('only plain arrays are read')
    return _Array()


class _Quantized:
    def __setstate__(self, state):
        if not isinstance(state, dict) or set(state) != {'weight', 'scales'}:
            raise Refused('quantised weight without exactly weight and scales')
        w, s = state['weight'], state['scales']
        if not (isinstance(w, _Array) and isinstance(s, _Array) and hasattr(w, 'data') and hasattr(s, 'data')):
            raise Refused('quantised weight parts')
        if w.code != 'i1' or s.code != 'bf16':
            raise Refused('weight of %s with scales of %s, wanted int8 and bfloat16' % (w.code, s.code))
        self.weight, self.scales = w.data, s.data


class _Unpickler(pickle.Unpickler):
    NAMES = {
        ('numpy.core.multiarray', '_reconstruct'): _reconstruct,
        ('numpy._core.multiarray', '_reconstruct'): _reconstruct,
        ('numpy', 'ndarray'): _Token,
        ('numpy', 'dtype'): _Dtype,
        ('ml_dtypes', 'bfloat16'): _Bfloat16,
        ('__main__', 'QuantizedWeight8bit'): _Quantized,
        ('model', 'QuantizedWeight8bit'): _Quantized,
    }

    def find_class(self, module, name):
        try:
            return self.NAMES[module, name]
        except KeyError:
            raise Refused('the pickle asks for %s.%s' % (module, name)) from None


def bf16_to_f32(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_tensor(path):
    """(float32 array, None) or (int8 array, float32 scales)."""
    try:
        with open(path, 'rb') as f:
            if f.read(2) != b'\x80\x04':
                raise Refused('not a pickle of protocol 4')
            f.seek(0)
            obj = _Unpickler(f).load()
            if f.read(1):
                raise Refused('bytes after the end of the pickle')
    except Refused as e:
        raise Refused('%s: %s' % (path, e)) from None
    except OSError as e:
        raise Refused(str(e)) from None
    except Exception as e:                       # whatever a broken stream makes the unpickler raise
        raise Refused('%s: not a readable tensor (%s: %s)' % (path, type(e).__name__, e)) from None
    if isinstance(obj, _Array) and hasattr(obj, 'data') and obj.code == 'f4':
        return obj.data, None
    if isinstance(obj, _Quantized) and hasattr(obj, 'weight'):
        return obj.weight, bf16_to_f32(obj.scales)
    raise Refused('%s: neither a float32 array nor a quantised weight' % path)


# ------------------------------------------------------------------ the model directory
class Config:
    """The fields that the forward pass depends on."""

    def __init__(self, directory):
        path = os.path.join(directory, 'config.json')
        try:
            with open(path) as f:
                c = json.load(f)
            m = c['model']
            self.vocab = int(c['vocab_size'])
            self.context = int(c['sequence_len'])
            self.embed_scale = float(c['embedding_multiplier_scale'])
            self.logit_scale = float(c['output_multiplier_scale'])
            self.emb, self.key = int(m['emb_size']), int(m['key_size'])
            self.heads, self.kv_heads = int(m['num_q_heads']), int(m['num_kv_heads'])
            self.layers = int(m['num_layers'])
            self.attn_scale = float(m['attn_output_multiplier'])
            self.experts, self.top_k = int(m['num_experts']), int(m['num_selected_experts'])
            self.ffn = int((c.get('derived') or {}).get('ffn_size') or ffn_size(self.emb, m['widening_factor']))
        except OSError as e:
            raise Refused(str(e)) from None
        except (KeyError, TypeError, ValueError) as e:
            raise Refused('%s: %s: %s' % (path, type(e).__name__, e)) from None
        for k, v in vars(self).items():
            if not v > 0:
                raise Refused('%s: %s is %r' % (path, k, v))
        if self.heads % self.kv_heads or self.top_k > self.experts:
            raise Refused('%s: heads %d/%d, experts %d of %d' % (path, self.heads, self.kv_heads, self.top_k, self.experts))


def ffn_size(emb, widening_factor):
    n = int(widening_factor * emb) * 2 // 3
    return n + (8 - n) % 8


def layout(c):
    """(role, layer or None, shape) of every file, in file order: layers lie in string order of their number."""
    d, f, e, q, kv = c.emb, c.ffn, c.experts, c.heads * c.key, c.kv_heads * c.key
    files = [('embed', None, (c.vocab, d)), ('norm', None, (d,))]
    for layer in sorted(range(c.layers), key=str):
        files += [(role, layer, shape) for role, shape in (
            ('gate', (e, d, f)), ('down', (e, f, d)), ('up', (e, d, f)),
            ('k', (d, kv)), ('o', (q, d)), ('q', (d, q)), ('v', (d, kv)),
            ('attn_in', (d,)), ('attn_out', (d,)), ('moe_in', (d,)), ('moe_out', (d,)), ('router', (d, e)))]
    return files


def tensor_path(directory, index):
    return os.path.join(directory, 'ckpt-0', 'tensor%05d_000' % index)


def check_files(directory, c):
    """Exactly the files that the configuration asks for."""
    folder = os.path.join(directory, 'ckpt-0')
    try:
        have = set(os.listdir(folder))
    except OSError as e:
        raise Refused(str(e)) from None
    want = {os.path.basename(tensor_path(directory, i)) for i in range(len(layout(c)))}
    for what, names in (('is missing', want - have), ('belongs to no tensor of the configuration', have - want)):
        if names:
            more = ' (and %d more)' % (len(names) - 1) if len(names) > 1 else ''
            raise Refused('%s: %s%s %s' % (folder, min(names), more, what))


MATRICES = ('gate', 'down', 'up', 'k', 'o', 'q', 'v')


def read_model_tensor(directory, index, role, shape):
    """read_tensor, checked against the shape that the configuration asks for."""
    path = tensor_path(directory, index)
    w, s = read_tensor(path)
    if w.shape != shape:
        raise Refused('%s (%s): shape %s, the configuration wants %s' % (path, role, w.shape, shape))
    if s is not None:
        if role not in MATRICES:
            raise Refused('%s (%s): quantised where a plain array belongs' % (path, role))
        if s.ndim != w.ndim or s.shape[:-2] != w.shape[:-2] or s.shape[-1] != w.shape[-1] or w.shape[-2] % s.shape[-2]:
            raise Refused('%s (%s): scales %s for weight %s' % (path, role, s.shape, w.shape))
    if not np.isfinite(w if s is None else s).all():
        raise Refused('%s (%s): not every value is finite' % (path, role))
    return w, s
