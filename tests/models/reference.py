"""The architectures in plain Python, from their papers and published configurations.

Weights have the names and the layout of the published checkpoints; gguf() converts them as llama.cpp's converters
do. So a program for the GGUF file that agrees with forward() has understood both: a permuted head, another rotary
layout or a transposed matrix would show. Arithmetic is double, rounded to f32 behind every operation, and keys and
values to f16, as the programs' caches are.
"""
import math
import random
import struct
from array import array


def f32(row):
    return list(array("f", row))


def f16(row):
    return list(struct.unpack(f"<{len(row)}e", struct.pack(f"<{len(row)}e", *row)))


# ---------------------------------------------------------------------- operations on rows


def linear(x, w, bias=None):
    y = f32(math.fsum(a * b for a, b in zip(x, row)) for row in w)
    return add(y, bias) if bias else y


def add(x, y):
    return f32(a + b for a, b in zip(x, y))


def multiply(x, y):
    return f32(a * b for a, b in zip(x, y))


def rms_norm(x, gain, eps):
    scale = 1 / math.sqrt(math.fsum(v * v for v in x) / len(x) + eps)
    return f32(v * scale * g for v, g in zip(x, gain))


def layer_norm(x, gain, bias, eps):
    mean = math.fsum(x) / len(x)
    scale = 1 / math.sqrt(math.fsum((v - mean) ** 2 for v in x) / len(x) + eps)
    return f32((v - mean) * scale * g + b for v, g, b in zip(x, gain, bias))


def silu(x):
    return f32(v / (1 + math.exp(-v)) for v in x)


def gelu_tanh(x):
    return f32(v / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3))) for v in x)


def relu(x):
    return [max(v, 0.0) for v in x]


def squared_relu(x):
    return f32(v * v for v in relu(x))


def heads_of(x, size):
    return [x[i:i + size] for i in range(0, len(x), size)]


def bit_linear(x, w):
    """BitNet b1.58: activations in 8 bits by the largest magnitude of the token; weights are scale * (-1, 0, 1)."""
    scale = f32([f32([max(map(abs, x))])[0] / 127])[0]
    q = [round(v) for v in f32(v / scale for v in x)]
    return f32(math.fsum(a * b for a, b in zip(q, row)) * scale for row in w)


# ---------------------------------------------------------------------- positions


def frequencies(base, pairs, factors=None):
    return [base ** (-p / pairs) / (factors[p] if factors else 1) for p in range(pairs)]


def linear_scaling(frequency, factor):
    return [f / factor for f in frequency]


def llama3_factors(base, pairs, factor, low, high, context):
    """Llama 3.1: what its published rope_scaling divides the frequencies by; GGUF files keep these numbers."""
    factors = []
    for f in frequencies(base, pairs):
        wavelength = 2 * math.pi / f
        if wavelength < context / high:
            factors.append(1.0)
        elif wavelength > context / low:
            factors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return f32(factors)


def yarn(base, pairs, factor, context, fast=32.0, slow=1.0):
    """YaRN (arXiv 2309.00071): frequencies, and what cosines and sines are multiplied by."""
    plain = frequencies(base, pairs)

    def dimension(rotations):
        return pairs * math.log(context / (rotations * 2 * math.pi)) / math.log(base)

    low, high = max(math.floor(dimension(fast)), 0), min(math.ceil(dimension(slow)), 2 * pairs - 1)
    ramp = [min(max((p - low) / max(high - low, 0.001), 0), 1) for p in range(pairs)]
    return [f / factor * r + f * (1 - r) for f, r in zip(plain, ramp)], 0.1 * math.log(factor) + 1


def rotate_half(x, position, frequency, magnitude=1):
    """The published checkpoints' rotary embedding: element p turns with element p + half of the rotated part."""
    half, out = len(frequency), list(x)
    for p, f in enumerate(frequency):
        c, s = f32([magnitude * math.cos(position * f), magnitude * math.sin(position * f)])
        out[p], out[p + half] = x[p] * c - x[p + half] * s, x[p] * s + x[p + half] * c
    return f32(out)


def alibi_slopes(heads):
    """ALiBi (arXiv 2108.12409), heads that are no power of two included."""
    def of_power(n):
        return [2.0 ** (-8 * (i + 1) / n) for i in range(n)]

    power = 2 ** int(math.log2(heads))
    return of_power(power) + of_power(2 * power)[0::2][:heads - power]


def attend(queries, keys, values, slopes=None, window=None):
    """Of the last position: a row per head, over the rows of all positions."""
    last, out = len(keys) - 1, []
    repeat = len(queries) // len(keys[0])
    first = max(0, last - window + 1) if window else 0
    for h, q in enumerate(queries):
        scores = [math.fsum(a * b for a, b in zip(q, k[h // repeat])) / math.sqrt(len(q)) +
                  (slopes[h] * (j - last) if slopes else 0) for j, k in enumerate(keys) if j >= first]
        weights = [math.exp(s - max(scores)) for s in scores]
        total = math.fsum(weights)
        out += [math.fsum(w * v[h // repeat][i] for w, v in zip(weights, values[first:])) / total
                for i in range(len(values[0][0]))]
    return f32(out)


# ---------------------------------------------------------------------- models


class Model:
    """A tiny model of one architecture. Subclasses: names and shapes, forward(), gguf()."""
    arch = program = None

    def __init__(self, seed=1, dim=36, heads=6, kv_heads=2, head_dim=None, ffn=52, layers=3, vocab=50, context=64,
                 base=10000.0, eps=1e-5, tied=False, bias=False, **more):
        self.random = random.Random(f"{self.arch} {seed}")
        self.dim, self.heads, self.kv_heads, self.ffn, self.layers = dim, heads, kv_heads, ffn, layers
        self.head_dim = head_dim or dim // heads
        self.vocab, self.context, self.base, self.eps, self.tied, self.bias = vocab, context, base, eps, tied, bias
        self.more = more
        self.weights = {}
        self.create()

    def matrix(self, name, rows, columns, scale=None):
        spread = scale or 1 / math.sqrt(columns)
        self.weights[name] = [f32(self.random.gauss(0, spread) for _ in range(columns)) for _ in range(rows)]

    def vector(self, name, count, middle=1.0):
        self.weights[name] = f32(middle + self.random.gauss(0, 0.2) for _ in range(count))

    def projection(self, name, rows, columns, bias=False):
        self.matrix(name + ".weight", rows, columns)
        if bias:
            self.vector(name + ".bias", rows, 0.0)

    def norm(self, name, bias=False):
        self.vector(name + ".weight", self.dim)
        if bias:
            self.vector(name + ".bias", self.dim, 0.0)

    def apply(self, name, x):
        return linear(x, self.weights[name + ".weight"], self.weights.get(name + ".bias"))

    def forward(self, tokens):
        """The logits behind every token."""
        caches = [([], []) for _ in range(self.layers)]
        return [self.step(t, position, caches) for position, t in enumerate(tokens)]

    def cache(self, store, keys, values):
        store[0].append([f16(k) for k in keys])
        store[1].append([f16(v) for v in values])
        return store

    def metadata(self, **more):
        a = self.arch
        return {"general.architecture": a, f"{a}.embedding_length": self.dim, f"{a}.block_count": self.layers,
                f"{a}.feed_forward_length": self.ffn, f"{a}.attention.head_count": self.heads,
                f"{a}.context_length": self.context, "tokenizer.ggml.tokens": [f"<{i}>" for i in range(self.vocab)],
                **{key.replace("ARCH", a): value for key, value in more.items()}}


class Llama(Model):
    """LLaMA (arXiv 2302.13971, 2307.09288): RMS norms, rotary embedding, grouped-query attention, gated SiLU."""
    arch, program = "llama", "llama.lut"
    attention_bias, last_eps = False, None
    names = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
             "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
             "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
             "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
             "mlp.down_proj": "ffn_down"}

    def create(self):
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.matrix("model.embed_tokens.weight", self.vocab, self.dim, 1.0)
        for i in range(self.layers):
            at = f"model.layers.{i}."
            self.norm(at + "input_layernorm")
            self.norm(at + "post_attention_layernorm")
            self.create_attention(at, q, kv)
            self.create_feed_forward(at)
        self.norm("model.norm")
        if not self.tied:
            self.matrix("lm_head.weight", self.vocab, self.dim)

    def create_attention(self, at, q, kv):
        bias = self.attention_bias or self.bias
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            self.projection(f"{at}self_attn.{name}_proj", rows, self.dim, bias)
        self.projection(at + "self_attn.o_proj", self.dim, q, self.bias)

    def create_feed_forward(self, at):
        self.projection(at + "mlp.gate_proj", self.ffn, self.dim, self.bias)
        self.projection(at + "mlp.up_proj", self.ffn, self.dim, self.bias)
        self.projection(at + "mlp.down_proj", self.dim, self.ffn, self.bias)

    def rotary(self):
        """Frequencies, and the magnitude of cosines and sines."""
        pairs = self.more.get("rotated", self.head_dim) // 2
        if "yarn" in self.more:
            return yarn(self.base, pairs, *self.more["yarn"])
        frequency = frequencies(self.base, pairs, self.more.get("factors"))
        return linear_scaling(frequency, self.more.get("linear", 1.0)), 1.0

    def attention(self, at, h, position, store):
        frequency, magnitude = self.rotary()
        q, k, v = (heads_of(x, self.head_dim) for x in self.project(at, h))
        q = [rotate_half(x, position, frequency, magnitude) for x in q]
        k = [rotate_half(x, position, frequency, magnitude) for x in k]
        return attend(q, *self.cache(store, k, v), window=self.more.get("window"))

    def project(self, at, h):
        return [self.apply(f"{at}self_attn.{name}_proj", h) for name in "qkv"]

    def feed_forward(self, at, h):
        gated = multiply(silu(self.apply(at + "mlp.gate_proj", h)), self.apply(at + "mlp.up_proj", h))
        return self.apply(at + "mlp.down_proj", gated)

    def block(self, at, x, position, store):
        h = rms_norm(x, self.weights[at + "input_layernorm.weight"], self.eps)
        x = add(x, self.apply(at + "self_attn.o_proj", self.attention(at, h, position, store)))
        h = rms_norm(x, self.weights[at + "post_attention_layernorm.weight"], self.eps)
        return add(x, self.feed_forward(at, h))

    def step(self, token, position, caches):
        x = self.weights["model.embed_tokens.weight"][token]
        for i, store in enumerate(caches):
            x = self.block(f"model.layers.{i}.", x, position, store)
        x = rms_norm(x, self.weights["model.norm.weight"], self.last_eps or self.eps)
        return linear(x, self.weights["model.embed_tokens.weight" if self.tied else "lm_head.weight"])

    # What llama.cpp's converter does to q and k of this architecture: pairs become neighbours.
    def permute(self, name, rows):
        if self.arch != "llama" or not name.split(".")[-2] in ("q_proj", "k_proj"):
            return rows
        return [row for head in heads_of(rows, self.head_dim)
                for pair in zip(head[:self.head_dim // 2], head[self.head_dim // 2:]) for row in pair]

    def gguf_name(self, name):
        layer, at = "", name.rsplit(".", 1)
        if name.startswith("model.layers."):
            _, _, i, inner = at[0].split(".", 3)
            layer, at[0] = f"blk.{i}.", inner
        return f"{layer}{self.names[at[0]]}.{at[1]}"

    def gguf(self):
        a = {"ARCH.attention.head_count_kv": self.kv_heads, "ARCH.attention.layer_norm_rms_epsilon": self.eps,
             "ARCH.rope.dimension_count": self.more.get("rotated", self.head_dim), "ARCH.rope.freq_base": self.base}
        if self.head_dim * self.heads != self.dim:
            a |= {"ARCH.attention.key_length": self.head_dim, "ARCH.attention.value_length": self.head_dim}
        if "linear" in self.more:
            a |= {"ARCH.rope.scaling.type": "linear", "ARCH.rope.scaling.factor": self.more["linear"]}
        if "yarn" in self.more:
            a |= {"ARCH.rope.scaling.type": "yarn", "ARCH.rope.scaling.factor": self.more["yarn"][0],
                  "ARCH.rope.scaling.original_context_length": self.more["yarn"][1]}
        tensors = {self.gguf_name(n): self.permute(n, w) for n, w in self.weights.items()}
        if "factors" in self.more:
            tensors["rope_freqs.weight"] = self.more["factors"]
        return self.metadata(**a), tensors


class Qwen2(Llama):
    """Qwen2 (arXiv 2407.10671): LLaMA with biases of q, k and v; converters leave the heads as they are."""
    arch, program, attention_bias = "qwen2", "qwen2.lut", True


class Bitnet(Llama):
    """BitNet b1.58 (arXiv 2402.17764) as published by 1bitLLM: norms in front of the output projections."""
    arch, program = "bitnet", "bitnet.lut"
    activation, last_eps = staticmethod(silu), 1e-5
    names = Llama.names | {"self_attn.inner_attn_ln": "attn_sub_norm", "mlp.ffn_layernorm": "ffn_sub_norm"}
    attention_norm, feed_forward_norm = "self_attn.inner_attn_ln", "mlp.ffn_layernorm"

    def create(self):
        super().create()
        for i in range(self.layers):
            self.vector(f"model.layers.{i}.{self.attention_norm}.weight", self.heads * self.head_dim)
            self.vector(f"model.layers.{i}.{self.feed_forward_norm}.weight", self.ffn)

    def projection(self, name, rows, columns, bias=False):
        self.matrix(name + ".weight", rows, columns)
        mean = math.fsum(abs(v) for row in self.weights[name + ".weight"] for v in row) / (rows * columns)
        scale = f16([mean])[0]
        self.weights[name + ".weight"] = [[scale * max(-1, min(1, round(v / mean))) for v in row]
                                          for row in self.weights[name + ".weight"]]

    def apply(self, name, x):
        return bit_linear(x, self.weights[name + ".weight"])

    def attention(self, at, h, position, store):
        x = super().attention(at, h, position, store)
        return rms_norm(x, self.weights[f"{at}{self.attention_norm}.weight"], self.eps)

    def feed_forward(self, at, h):
        gated = multiply(self.activation(self.apply(at + "mlp.gate_proj", h)), self.apply(at + "mlp.up_proj", h))
        return self.apply(at + "mlp.down_proj",
                          rms_norm(gated, self.weights[f"{at}{self.feed_forward_norm}.weight"], self.eps))

    # With `scales` as bit-exact files have it: -1, 0, 1, and the scale in a tensor beside them.
    def gguf(self):
        metadata, tensors = super().gguf()
        for name in list(tensors) if self.more.get("scales") else []:
            if "blk" in name and "norm" not in name:
                scale = max(abs(v) for row in tensors[name] for v in row)
                tensors[name.replace(".weight", ".scale")] = [scale]
                tensors[name] = [[v / scale for v in row] for row in tensors[name]]
        return metadata, tensors


class BitnetB158(Bitnet):
    """BitNet b1.58 2B4T (arXiv 2504.12285): the same with squared ReLU."""
    arch = "bitnet-b1.58"
    activation = staticmethod(squared_relu)
    names = Llama.names | {"self_attn.attn_sub_norm": "attn_sub_norm", "mlp.ffn_sub_norm": "ffn_sub_norm"}
    attention_norm, feed_forward_norm = "self_attn.attn_sub_norm", "mlp.ffn_sub_norm"


class Phi3(Llama):
    """Phi-3 (arXiv 2404.14219): LLaMA with q, k and v in one matrix, gate and up in another."""
    arch, program = "phi3", "phi3.lut"
    names = Llama.names | {"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}

    def create_attention(self, at, q, kv):
        self.projection(at + "self_attn.qkv_proj", q + 2 * kv, self.dim)
        self.projection(at + "self_attn.o_proj", self.dim, q)

    def create_feed_forward(self, at):
        self.projection(at + "mlp.gate_up_proj", 2 * self.ffn, self.dim)
        self.projection(at + "mlp.down_proj", self.dim, self.ffn)

    def project(self, at, h):
        x, q, kv = self.apply(at + "self_attn.qkv_proj", h), self.heads * self.head_dim, self.kv_heads * self.head_dim
        return x[:q], x[q:q + kv], x[q + kv:]

    def feed_forward(self, at, h):
        x = self.apply(at + "mlp.gate_up_proj", h)
        return self.apply(at + "mlp.down_proj", multiply(silu(x[:self.ffn]), x[self.ffn:]))

    def rotary(self):
        pairs = self.more.get("rotated", self.head_dim) // 2
        return frequencies(self.base, pairs, self.more.get("short")), self.more.get("magnitude", 1.0)

    def gguf(self):
        metadata, tensors = super().gguf()
        if "short" in self.more:
            tensors["rope_factors_short.weight"] = self.more["short"]
            tensors["rope_factors_long.weight"] = self.more["long"]
            metadata["phi3.rope.scaling.original_context_length"] = self.more["original"]
            metadata["phi3.rope.scaling.attn_factor"] = self.more["magnitude"]
        if "window" in self.more:
            metadata["phi3.attention.sliding_window"] = self.more["window"]
        return metadata, tensors


class Opt(Model):
    """OPT (arXiv 2205.01068): learned positions, layer norms, biases, ReLU."""
    arch, program = "opt", "opt.lut"
    names = {"embed_tokens": "token_embd", "embed_positions": "position_embd", "final_layer_norm": "output_norm",
             "layer.self_attn_layer_norm": "attn_norm", "layer.final_layer_norm": "ffn_norm",
             "layer.self_attn.q_proj": "attn_q", "layer.self_attn.k_proj": "attn_k",
             "layer.self_attn.v_proj": "attn_v", "layer.self_attn.out_proj": "attn_output",
             "layer.fc1": "ffn_up", "layer.fc2": "ffn_down"}

    def create(self):
        self.kv_heads = self.heads
        self.matrix("embed_tokens.weight", self.vocab, self.dim, 1.0)
        self.matrix("embed_positions.weight", self.context + 2, self.dim, 0.5)
        for i in range(self.layers):
            at = f"layers.{i}."
            for name in ("self_attn_layer_norm", "final_layer_norm"):
                self.norm(at + name, bias=True)
            for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
                self.projection(f"{at}self_attn.{name}", self.dim, self.dim, bias=True)
            self.projection(at + "fc1", self.ffn, self.dim, bias=True)
            self.projection(at + "fc2", self.dim, self.ffn, bias=True)
        self.norm("final_layer_norm", bias=True)

    def normalized(self, name, x):
        return layer_norm(x, self.weights[name + ".weight"], self.weights[name + ".bias"], self.eps)

    def block(self, at, x, store):
        h = self.normalized(at + "self_attn_layer_norm", x)
        q, k, v = (heads_of(self.apply(f"{at}self_attn.{name}_proj", h), self.head_dim) for name in "qkv")
        x = add(x, self.apply(at + "self_attn.out_proj", attend(q, *self.cache(store, k, v))))
        h = relu(self.apply(at + "fc1", self.normalized(at + "final_layer_norm", x)))
        return add(x, self.apply(at + "fc2", h))

    def step(self, token, position, caches):
        x = add(self.weights["embed_tokens.weight"][token], self.weights["embed_positions.weight"][position + 2])
        for i, store in enumerate(caches):
            x = self.block(f"layers.{i}.", x, store)
        return linear(self.normalized("final_layer_norm", x), self.weights["embed_tokens.weight"])

    def gguf(self):
        tensors = {}
        for name, w in self.weights.items():
            at, kind = name.rsplit(".", 1)
            layer = at.split(".")[1] if at.startswith("layers.") else None
            inner = "layer." + at.split(".", 2)[2] if layer else at
            tensors[(f"blk.{layer}." if layer else "") + f"{self.names[inner]}.{kind}"] = w
        return self.metadata(**{"ARCH.attention.layer_norm_epsilon": self.eps}), tensors


class Bloom(Opt):
    """BLOOM (arXiv 2211.05100): ALiBi, a layer norm behind the embedding, GELU; q, k and v interleaved by head."""
    arch, program = "bloom", "bloom.lut"
    names = {"word_embeddings": "token_embd", "word_embeddings_layernorm": "token_embd_norm", "ln_f": "output_norm",
             "layer.input_layernorm": "attn_norm", "layer.post_attention_layernorm": "ffn_norm",
             "layer.self_attention.query_key_value": "attn_qkv", "layer.self_attention.dense": "attn_output",
             "layer.mlp.dense_h_to_4h": "ffn_up", "layer.mlp.dense_4h_to_h": "ffn_down"}

    def create(self):
        self.kv_heads = self.heads
        self.matrix("word_embeddings.weight", self.vocab, self.dim, 1.0)
        self.norm("word_embeddings_layernorm", bias=True)
        for i in range(self.layers):
            at = f"layers.{i}."
            for name in ("input_layernorm", "post_attention_layernorm"):
                self.norm(at + name, bias=True)
            self.projection(at + "self_attention.query_key_value", 3 * self.dim, self.dim, bias=True)
            self.projection(at + "self_attention.dense", self.dim, self.dim, bias=True)
            self.projection(at + "mlp.dense_h_to_4h", self.ffn, self.dim, bias=True)
            self.projection(at + "mlp.dense_4h_to_h", self.dim, self.ffn, bias=True)
        self.norm("ln_f", bias=True)

    def block(self, at, x, store):
        h = self.normalized(at + "input_layernorm", x)
        qkv = heads_of(self.apply(at + "self_attention.query_key_value", h), self.head_dim)
        attended = attend(qkv[0::3], *self.cache(store, qkv[1::3], qkv[2::3]), slopes=alibi_slopes(self.heads))
        x = add(x, self.apply(at + "self_attention.dense", attended))
        h = self.normalized(at + "post_attention_layernorm", x)
        return add(x, self.apply(at + "mlp.dense_4h_to_h", gelu_tanh(self.apply(at + "mlp.dense_h_to_4h", h))))

    def step(self, token, position, caches):
        x = self.normalized("word_embeddings_layernorm", self.weights["word_embeddings.weight"][token])
        for i, store in enumerate(caches):
            x = self.block(f"layers.{i}.", x, store)
        return linear(self.normalized("ln_f", x), self.weights["word_embeddings.weight"])

    # llama.cpp's converter puts the rows of all queries first, then those of keys and values.
    def gguf(self):
        metadata, tensors = super().gguf()
        for name in tensors:
            if "attn_qkv" in name:
                parts = heads_of(tensors[name], self.head_dim)
                tensors[name] = [row for which in range(3) for part in parts[which::3] for row in part]
        return metadata, tensors
