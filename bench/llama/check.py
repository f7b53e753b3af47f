#!/usr/bin/env python3
"""Checks converter and llbench against the recorded outputs of the reference.

    $PYTHON check.py SETUP_DIR CASE_DIR [CASE_DIR …]      SETUP_DIR as given to setup.sh

For every case: float32 weights through llama.cpp with a float32 KV cache give the recorded float32 logits, prefill and
decode; so does Q8_0, up to the error of rounding activations to 8 bits. Differences are the largest one of a position
over the largest recorded logit.
Positions from the first decoded token 0 on are left out: the reference masks everything for a pad token, llama.cpp
does not. Where rounding can flip an expert choice the difference says nothing: positions whose router margin was ever
that close before are counted apart ("near ties").
"""
import json, os, shlex, subprocess, sys, tempfile
import numpy as np
import xai2gguf, xaickpt

# bound on the difference, and on the router margin (in probability) under which a position is a near tie.
# llama.cpp's GELU goes through a table of float16: 1e-4 to 1e-3 in shallow models, 1e-2 after 12 layers. A wrong
# tensor, order or scale gives 0.1 and more.
BOUNDS = {'f32': (2e-2, 1e-3), 'q8_0': (0.2, 0.05)}
MEDIAN_BOUNDS = {'f32': 2e-3, 'q8_0': 0.2}


def environment(directory):
    """What setup.sh has written."""
    try:
        with open(os.path.join(directory, 'env')) as f:
            return dict(shlex.split(line)[0].split('=', 1) for line in f)
    except OSError as e:
        sys.exit('%s: run setup.sh %s first' % (e, directory))


def logits(env, gguf, tokens, prefill, tmp):
    """float32 [tokens, vocab] of llama.cpp."""
    out = os.path.join(tmp, 'logits.npy')
    subprocess.run([env['LLBENCH'], '--lib', env['LLAMA_LIB'], '--model', gguf, '--kv', 'f32',
                    '--tokens', ','.join(map(str, tokens)), '--prefill', str(prefill), '--logits', out], check=True)
    return np.load(out)


def compare(env, case, kind, tmp):
    gguf = os.path.join(tmp, 'model.gguf')
    made = xai2gguf.convert(case, gguf, kind, pad=True)
    with open(os.path.join(case, 'index.json')) as f:
        prompts = json.load(f)['prompts']
    top_k = xaickpt.Config(case).top_k
    rows = []
    for p in prompts:
        name = os.path.join(case, 'p%d_' % p['id'])
        tokens = np.load(name + 'tokens.npy')
        t = len(tokens)
        fed = np.concatenate([tokens, np.load(name + 'f32_greedy.npy')[:16]])
        n = int(np.argmax(fed == 0)) if (fed == 0).any() else len(fed)
        want = np.concatenate([np.load(name + 'f32_logits.npy'), np.load(name + 'f32_decode_logits.npy')])[:n]
        got = logits(env, gguf, fed[:n], t, tmp)
        d = np.abs(got - want).max(-1) / np.abs(want).max()
        probs = np.sort(np.load(name + 'f32_router_probs.npy')[:, :n], -1)[..., ::-1]
        margin = np.full(n, 1.0) if top_k == probs.shape[-1] else (probs[..., top_k - 1] - probs[..., top_k]).min(0)
        clear = np.minimum.accumulate(margin) > BOUNDS[kind][1]
        decode = np.arange(n) >= t
        worst = lambda where: float(d[where].max(initial=0))
        rows.append((p['id'], t, n - t, worst(clear & ~decode), worst(clear & decode), float(np.median(d)),
                     int((got.argmax(-1) == want.argmax(-1)).sum()), n, int((~clear).sum()), worst(~clear)))
    return made, rows


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    env = environment(sys.argv[1])
    bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        for case in sys.argv[2:]:
            print(os.path.basename(os.path.normpath(case)))
            for kind in BOUNDS:
                try:
                    made, rows = compare(env, case, kind, tmp)
                except xaickpt.Refused as e:
                    print('  %-5s refused: %s' % (kind, e))
                    continue
                print('  %-5s emb %d, ffn %d%s, %d int8 weights kept, %d requantised, scales rounded by up to %.1e'
                      % (kind, made['emb'], made['ffn'], ' (padded)' if made['padded'] else '', made['int8_kept'],
                         made['int8_requantised'], made['largest_scale_rounding']))
                for i, t, steps, a, b, m, agree, count, ties, tied in rows:
                    over = max(a, b) > BOUNDS[kind][0] or m > MEDIAN_BOUNDS[kind]
                    bad += over
                    print('    prompt %d: %2d + %2d tokens: prefill %.1e, decode %.1e; median %.1e; same argmax %d/%d; near ties %2d: %.1e%s'
                          % (i, t, steps, a, b, m, agree, count, ties, tied, '  OVER' if over else ''))
    sys.exit(1 if bad else 0)


if __name__ == '__main__':
    main()
