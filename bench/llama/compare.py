#!/usr/bin/env python3
"""Compares the speed of troupe with that of llama.cpp on the weights of one model, run in turn on one machine.

    $PYTHON compare.py SETUP_DIR MODEL_DIR --troupe PROGRAM [options]      SETUP_DIR as given to setup.sh

The model is converted to GGUF once, into SETUP_DIR. Before it is measured llama.cpp tries its ways of loading and
keeps the fastest, for prefill and for decode apart. Then rounds: in each every engine runs once with the same threads,
A B, B A, A B …; a round in which something else used the processors is thrown away and run again. The ratios are
those of troupe to llama.cpp within a round.

A table goes to standard output, or with --json one object; what happens meanwhile, to standard error.
"""
import argparse, json, os, statistics, subprocess, sys, tempfile, time
import numpy as np
import xai2gguf, xaickpt
from check import environment

PHASES = ('prefill', 'decode')
OTHERS_LIMIT = 0.1              # processors that others may keep busy in a round that counts
WAYS = ([], ['--no-repack'], ['--no-mmap'], ['--no-mmap', '--no-repack'])


def say(text):
    print('compare: ' + text, file=sys.stderr, flush=True)


def busy_seconds():
    """Processor seconds that the machine has spent, time that a host took away included."""
    with open('/proc/stat') as f:
        v = [int(x) for x in f.readline().split()[1:9]]
    return (sum(v) - v[3] - v[4]) / os.sysconf('SC_CLK_TCK')


class Run:
    """One process: its JSON, and how many processors were busy with something else meanwhile."""

    def __init__(self, command, processors):
        pin = (lambda: os.sched_setaffinity(0, processors)) if processors else None
        wall, busy = time.monotonic(), busy_seconds()
        with tempfile.TemporaryFile() as out:
            p = subprocess.Popen(command, stdout=out, preexec_fn=pin)
            _, status, usage = os.wait4(p.pid, 0)
            p.returncode = os.waitstatus_to_exitcode(status)
            wall, busy = time.monotonic() - wall, busy_seconds() - busy
            self.others = max(0.0, (busy - usage.ru_utime - usage.ru_stime) / wall)
            out.seek(0)
            text = out.read().decode()
        if p.returncode:
            sys.exit('compare: %s: exit %d' % (' '.join(command), p.returncode))
        self.data = json.loads(text.strip().splitlines()[-1])


class Bench:
    def __init__(self, a, env):
        self.a, self.env = a, env
        self.kernels = self.variant = None      # known after a run
        self.name = os.path.basename(os.path.abspath(a.model_dir))
        everything = sorted(os.sched_getaffinity(0))
        if max(a.threads) > len(everything):
            sys.exit('compare: --threads %d: %d processors here' % (max(a.threads), len(everything)))
        self.processors = lambda threads: everything[:threads] if a.pin == 'both' else None
        self.prompt = np.random.Generator(np.random.SFC64(1)).integers(3, xaickpt.Config(a.model_dir).vocab, a.n_prompt)

    def gguf(self, embed):
        """The converted model; made again when the checkpoint is newer."""
        out = os.path.join(self.a.setup_dir, '%s-%s.gguf' % (self.name, embed))
        folder = os.path.join(self.a.model_dir, 'ckpt-0')
        newest = max(os.path.getmtime(p) for p in [os.path.join(self.a.model_dir, 'config.json')] + [e.path for e in os.scandir(folder)])
        if not os.path.exists(out) or os.path.getmtime(out) < newest:
            say('converting to %s' % out)
            made = xai2gguf.convert(self.a.model_dir, out, 'q8_0', embed)
            if made['int8_requantised']:
                say('%d weights were quantised anew: llama.cpp computes with others than troupe' % made['int8_requantised'])
        return out

    def ids(self):
        return ','.join(map(str, self.prompt))

    def llama(self, gguf, threads, flags, reps):
        a = self.a
        r = Run([self.env['LLBENCH'], '--lib', self.env['LLAMA_LIB'], '--model', gguf, '--threads', str(threads), '--tokens', self.ids(),
                 '--n-gen', str(a.n_gen), '--reps', str(reps), '--ubatch', str(min(a.n_prompt, 512))] + ([] if a.pin == 'none' else ['--pin']) + flags
                + a.llama_flags.split(), self.processors(threads))
        d = r.data
        r.speed = {'prefill': d['prompt_tokens_per_second']['median'], 'decode': d['gen_tokens_per_second']['median']}
        r.contended = d['contended']
        return r

    def troupe(self, threads):
        a = self.a
        common = ['-m', a.model_dir, '--arith', a.arith, '--devices', 'cpu:%d' % threads, '--prefill-chunk', str(a.n_prompt)] + a.troupe_flags.split()
        r = Run([a.troupe, 'bench', '-q', '--json', '--n-prompt', str(a.n_prompt), '--n-gen', str(a.n_gen), '--reps', str(a.reps)] + common,
                self.processors(threads))
        r.speed = {phase: r.data[phase + '_tokens_per_second']['median'] for phase in PHASES}
        r.contended = r.others > OTHERS_LIMIT
        self.kernels = r.data['kernels']
        return r

    def fastest(self, gguf):
        """Flags of the fastest way to load, by phase."""
        best = {}
        for flags in WAYS * 2:
            r = self.llama(gguf, max(self.a.threads), flags, 2)
            self.variant = r.data['variant']
            say('llama.cpp %-24s prefill %7.2f, decode %6.2f tokens/s; %s%s' % (
                ' '.join(flags) or 'as it is', r.speed['prefill'], r.speed['decode'], r.data['buffers_mib'],
                '; not alone' if r.contended else ''))
            for phase in PHASES:
                if phase not in best or r.speed[phase] > best[phase][0]:
                    best[phase] = r.speed[phase], flags
        return {phase: best[phase][1] for phase in PHASES}

    def round(self, number, gguf, threads, ways):
        """Speeds by engine and phase, and who else was there."""
        speed, others, contended = {'troupe': {}, 'llama': {}}, 0.0, False
        distinct = [w for i, w in enumerate(ways.values()) if w not in list(ways.values())[:i]]
        turns = [('troupe', None)] + [('llama', w) for w in distinct]
        for engine, way in turns if number % 2 == 0 else turns[::-1]:
            r = self.troupe(threads) if engine == 'troupe' else self.llama(gguf, threads, way, self.a.reps)
            others, contended = max(others, r.others), contended or r.contended
            for phase in PHASES:
                if engine == 'troupe' or way == ways[phase]:
                    speed[engine][phase] = r.speed[phase]
        return speed, others, contended

    def measure(self, embed, threads, gguf, ways):
        kept, dropped = [], 0
        while len(kept) < self.a.rounds and dropped <= 2 * self.a.rounds:
            speed, others, contended = self.round(len(kept) + dropped, gguf, threads, ways)
            counts = self.a.contended or not contended
            say('threads %d, embedding %s: troupe %.2f / %.2f, llama.cpp %.2f / %.2f, others on %.2f processors%s' % (
                threads, embed, *(speed[e][p] for e in ('troupe', 'llama') for p in PHASES), others, '' if counts else ': thrown away'))
            if counts:
                kept.append(speed)
            else:
                dropped += 1
        rows = []
        for phase in PHASES if kept else ():
            row = {'phase': phase, 'threads': threads, 'embed': embed, 'rounds': len(kept), 'thrown_away': dropped, 'llama_flags': ways[phase]}
            for engine in ('troupe', 'llama'):
                row[engine + '_tokens_per_second'] = spread([s[engine][phase] for s in kept])
            row['ratio'] = spread([s['troupe'][phase] / s['llama'][phase] for s in kept])
            rows.append(row)
        return rows

    def agreement(self, gguf):
        """How alike the logits of both engines are: that they run the same model."""
        ids = self.prompt[:32]
        with tempfile.TemporaryDirectory() as tmp:
            files = [os.path.join(tmp, n) for n in ('troupe.npy', 'llama.npy')]
            subprocess.run([self.a.troupe, 'logits', '-q', '-m', self.a.model_dir, '--arith', self.a.arith, '--out', files[0],
                            '--tokens', ','.join(map(str, ids))], check=True)
            subprocess.run([self.env['LLBENCH'], '--lib', self.env['LLAMA_LIB'], '--model', gguf, '--threads', str(max(self.a.threads)),
                            '--logits', files[1], '--tokens', ','.join(map(str, ids))], check=True)
            x, y = (np.load(f) for f in files)
        return {'positions': len(ids), 'same_argmax': int((x.argmax(-1) == y.argmax(-1)).sum()),
                'correlation': float(np.median([np.corrcoef(p, q)[0, 1] for p, q in zip(x, y)]))}


def spread(values):
    return {'median': statistics.median(values), 'min': min(values), 'max': max(values), 'all': values}


def machine():
    with open('/proc/cpuinfo') as f:
        lines = dict(line.split(':', 1) for line in f.read().split('\n\n')[0].splitlines() if ':' in line)
    info = {k.strip(): v.strip() for k, v in lines.items()}
    units = ('avx2', 'avx512f', 'avx512_vnni', 'avx512_bf16', 'avx_vnni', 'amx_int8')
    return {'cpu': info.get('model name', '?'), 'processors': os.cpu_count(), 'units': [u for u in units if u in info.get('flags', '').split()]}


def table(report):
    m = report['machine']
    lines = ['%s, %d processors, %s; troupe %s, llama.cpp variant %s; pinned: %s' % (
                 m['cpu'], m['processors'], ' '.join(m['units']), report['kernels'], report['variant'], report['pin']),
             'prompt of %d tokens, %d generated, troupe --arith %s; logits: same argmax %d of %d, correlation %.4f' % (
                 report['n_prompt'], report['n_gen'], report['arith'], report['agreement']['same_argmax'], report['agreement']['positions'],
                 report['agreement']['correlation']), '',
             '| phase | threads | embedding of llama.cpp | troupe, tokens/s | llama.cpp, tokens/s | ratio | min to max | rounds | its flags |',
             '|---|--:|---|--:|--:|--:|---|--:|---|']
    for r in report['results']:
        lines.append('| %s | %d | %s | %.2f | %.2f | %.2f | %.2f to %.2f | %d | %s |' % (
            r['phase'], r['threads'], r['embed'], r['troupe_tokens_per_second']['median'], r['llama_tokens_per_second']['median'],
            r['ratio']['median'], r['ratio']['min'], r['ratio']['max'], r['rounds'], ' '.join(r['llama_flags']) or 'none'))
    return '\n'.join(lines)


def numbers(text):
    return [int(n) for n in text.split(',')]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('setup_dir')
    p.add_argument('model_dir')
    p.add_argument('--troupe', default='troupe', metavar='PROGRAM', help='to measure (default: troupe of the PATH)')
    p.add_argument('--threads', type=numbers, default=[1, 2], metavar='N,N', help='of both engines (default 1,2)')
    p.add_argument('--rounds', type=int, default=5, help='that count (default 5)')
    p.add_argument('--reps', type=int, default=3, help='repetitions within a run, whose median counts (default 3)')
    p.add_argument('--n-prompt', type=int, default=512)
    p.add_argument('--n-gen', type=int, default=64)
    p.add_argument('--arith', default='int8', help='of troupe (default int8)')
    p.add_argument('--embed', default='q8_0,f32', help="types of llama.cpp's embedding, which is the output matrix too: troupe's is f32 (default q8_0,f32)")
    p.add_argument('--pin', choices=('llama', 'both', 'none'), default='llama',
                   help='llama: its threads each on a processor (default); both: also troupe on as many processors as threads')
    p.add_argument('--troupe-flags', default='', help='more flags, as "--kernels cpu/avx2"')
    p.add_argument('--llama-flags', default='', help='more flags of llbench, as "--variant haswell"')
    p.add_argument('--contended', action='store_true', help='rounds count although others used the processors: for trying things out')
    p.add_argument('--json', action='store_true', help='one JSON object instead of the table')
    a = p.parse_args()
    try:
        bench = Bench(a, environment(a.setup_dir))
        results, agreement = [], None
        for embed in a.embed.split(','):
            gguf = bench.gguf(embed)
            agreement = agreement or bench.agreement(gguf)
            ways = bench.fastest(gguf)
            for threads in a.threads:
                results += bench.measure(embed, threads, gguf, ways)
    except (xaickpt.Refused, OSError) as e:
        sys.exit('compare: %s' % e)
    except subprocess.CalledProcessError as e:
        sys.exit('compare: %s' % e)
    report = {'machine': machine(), 'variant': bench.variant, 'model': bench.name, 'arith': a.arith, 'kernels': bench.kernels,
              'troupe_flags': a.troupe_flags, 'pin': a.pin, 'n_prompt': a.n_prompt, 'n_gen': a.n_gen, 'reps': a.reps, 'contended_counted': a.contended, 'agreement': agreement, 'results': results}
    print(json.dumps(report) if a.json else table(report))
    if len(results) < 2 * len(a.threads) * len(a.embed.split(',')):
        sys.exit('compare: no round without others on the processors: run it on a quiet machine, or with --contended to look at it all the same')


if __name__ == '__main__':
    main()
