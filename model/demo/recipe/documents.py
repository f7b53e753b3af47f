"""Loss of every held-out document with 1, 2, 4 and 8 experts, in nats, computed by reference.py (NumPy, f32).

    python documents.py --demo demo > reference/heldout_documents.json

Tests compare a few documents with it, where reference/perplexity.json only has sums over all of them.
"""
import argparse
import json
import os

import sentencepiece as spm

from evaluate import EOS, nll
from reference import Model


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--demo", required=True)
    demo = p.parse_args().demo
    model = Model(demo)
    sp = spm.SentencePieceProcessor(model_file=os.path.join(demo, "tokenizer.model"))
    rows = []
    for line in open(os.path.join(demo, "reference", "heldout.jsonl")):
        doc = json.loads(line)
        ids = sp.encode(doc["text"]) + [EOS]
        row = {"domain": doc["domain"], "tokens": len(ids) - 1}
        for k in (1, 2, 4, 8):
            model.top = k
            row[f"top-{k}"] = round(float(nll(model, ids)), 4)
        rows.append(json.dumps(row, separators=(",", ":")))
    print("[" + ",\n".join(rows) + "]")


if __name__ == "__main__":
    main()
