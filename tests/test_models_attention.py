"""The models made of attention: names and shapes, caches, decoding, and Hugging Face's models of the same weights."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import functional as F
from chainrule import layers
from chainrule.errors import ShapeError
from chainrule.layers import models
from chainrule.layers.models import decoding

NAMES = json.loads(Path(__file__).with_name("hugging_face_names.json").read_text(encoding="utf-8"))
BERT = {"vocab_size": 11, "hidden_size": 6, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 10,
        "max_position_embeddings": 8}
MODELS = {
    "GPT2LMHeadModel": lambda: models.GPT2(11, 8, 6, 2, 2),
    "BertForMaskedLM": lambda: models.BertForMaskedLM(**BERT),
    "BertForSequenceClassification": lambda: models.BertForSequenceClassification(3, **BERT),
}


@pytest.fixture(autouse=True)
def _seed():
    cr.manual_seed(0)


def tokens(*shape, low=0, high=11):
    return cr.randint(low, high, shape)


@pytest.fixture
def gpt2():
    return models.GPT2(11, 8, 6, 2, 2).double().eval()


@pytest.fixture
def original():
    model = models.OriginalTransformer(11, 8, 2, 1, 2, 16).double().eval()
    for p in model.parameters():  # generic values, far from those that make all tokens alike
        layers.init.normal_(p, std=0.5)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_names_and_shapes_are_hugging_faces(name):
    """The list was written by transformers, see `write_names`."""
    assert {key: list(t.shape) for key, t in MODELS[name]().state_dict().items()} == NAMES[name]
    assert list(MODELS[name]().state_dict()) == list(NAMES[name])


def theirs(name, monkeypatch):
    """transformers' model with random weights."""
    pytest.importorskip("torch")
    # transformers looks at images through torchvision where it finds it, which is not needed here
    monkeypatch.setitem(sys.modules, "torchvision", None)
    transformers = pytest.importorskip("transformers")
    transformers.logging.set_verbosity_error()
    if name.startswith("GPT2"):
        config = transformers.GPT2Config(vocab_size=11, n_positions=8, n_embd=6, n_layer=2, n_head=2)
    else:
        config = transformers.BertConfig(num_labels=3, **BERT)
    model = getattr(transformers, name)(config).eval()
    rng = np.random.default_rng(0)
    for p in model.parameters():
        p.data += p.data.new_tensor(rng.normal(size=tuple(p.shape)) * 0.3)
    return model


@pytest.mark.peers
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_logits_are_hugging_faces(name, monkeypatch):
    torch = pytest.importorskip("torch")
    their, our = theirs(name, monkeypatch), MODELS[name]().eval()
    our.load_state_dict({key: value.numpy() for key, value in their.state_dict().items()})
    inputs = [np.random.default_rng(1).integers(0, 11, (3, 8))]
    if name.startswith("Bert"):
        inputs += [np.array([[1] * 8, [1] * 5 + [0] * 3, [1] * 7 + [0]]), np.array([[0] * 4 + [1] * 4] * 3)]
    names = ("input_ids", "attention_mask", "token_type_ids")
    for dtype, tolerance in (("float", 1e-5), ("double", 1e-12)):
        their, our = getattr(their, dtype)(), getattr(our, dtype)()
        expected = their(**{key: torch.tensor(value) for key, value in zip(names, inputs, strict=False)}).logits
        np.testing.assert_allclose(our(*map(cr.tensor, inputs)).data, expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    back = {key: torch.tensor(value.data) for key, value in our.state_dict().items()}
    assert not any(their.load_state_dict(back))


def test_files_that_differ_from_the_state_load_all_the_same():
    source, target = MODELS["GPT2LMHeadModel"](), MODELS["GPT2LMHeadModel"]()
    file = {**source.transformer.state_dict(), "h.0.attn.bias": np.ones((1, 1, 8, 8)), "h.1.attn.masked_bias": np.array(-1e4)}
    models.load_hugging_face(target, file)
    x = tokens(2, 5)
    np.testing.assert_array_equal(source.eval()(x).data, target.eval()(x).data)
    assert target.lm_head.weight is target.transformer.wte.weight

    source, target = MODELS["BertForMaskedLM"](), MODELS["BertForMaskedLM"]()
    old = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
    file = {"bert.embeddings.position_ids": np.arange(8)}
    for name, value in source.state_dict().items():
        ending = next((e for e in old if name.endswith(e)), "")
        if not name.startswith("cls.predictions.decoder"):
            file[name.removesuffix(ending) + old.get(ending, "")] = value
    models.load_hugging_face(target, file)
    np.testing.assert_array_equal(source.eval()(x).data, target.eval()(x).data)

    classifier = MODELS["BertForSequenceClassification"]()
    with pytest.raises(RuntimeError, match="classifier.weight"):
        models.load_hugging_face(classifier, file)
    missing, unexpected = models.load_hugging_face(classifier, file, strict=False)
    assert missing == ["bert.pooler.dense.weight", "bert.pooler.dense.bias", "classifier.weight", "classifier.bias"]
    assert all(name.startswith("cls.") for name in unexpected)
    np.testing.assert_array_equal(classifier.bert.encoder.layer[1].output.dense.weight.data,
                                  source.bert.encoder.layer[1].output.dense.weight.data)


@pytest.mark.parametrize("name", ["GPT2LMHeadModel", "BertForMaskedLM"])
def test_the_output_matrix_is_the_embedding(name):
    model = MODELS[name]().eval()
    table = next(p for p in model.parameters() if p.shape == (11, 6))
    assert sum(p.shape in ((11, 6), (11,)) for p in model.parameters()) == (1 if name.startswith("GPT2") else 2)
    F.cross_entropy(model(tokens(2, 4)).flatten(0, 1), tokens(8)).backward()
    assert (table.grad.data != 0).all()  # also of tokens that did not occur: through the output


def test_first_values_are_gpt2s():
    model = models.GPT2(100, 50, 64, 8, 2)
    block = model.transformer.h[3]
    for weight, std in ((model.transformer.wte.weight, 0.02), (block.attn.c_attn.weight, 0.02), (block.mlp.c_fc.weight, 0.02),
                        (block.attn.c_proj.weight, 0.005), (block.mlp.c_proj.weight, 0.005)):
        assert float(weight.data.std()) == pytest.approx(std, rel=0.06)
    assert not block.attn.c_attn.bias.data.any()


def test_first_values_are_berts():
    model = models.BertForSequenceClassification(50, **{**BERT, "hidden_size": 64})
    for weight in (model.classifier.weight, model.bert.encoder.layer[0].attention.self.key.weight):
        assert float(weight.data.std()) == pytest.approx(0.02, rel=0.06)
    assert not model.bert.embeddings.word_embeddings.weight.data[0].any() and not model.classifier.bias.data.any()


def test_gpt2_with_a_cache_equals_the_whole(gpt2):
    x, cache = tokens(3, 8), gpt2.new_cache()
    parts = [gpt2(x[:, a:b], cache) for a, b in ((0, 3), (3, 4), (4, 7), (7, 8))]
    np.testing.assert_allclose(cr.cat(parts, dim=1).data, gpt2(x).data, atol=1e-12)
    with pytest.raises(ShapeError, match="behind 8 in the cache"):
        gpt2(x[:, :1], cache)


def test_gpt2_generates_the_likeliest(gpt2):
    sequence = tokens(2, 3)
    found = gpt2.train().generate(sequence, 5, temperature=0)
    assert gpt2.training and gpt2.transformer.drop.training
    gpt2.eval()
    for _ in range(5):
        sequence = cr.cat((sequence, gpt2(sequence)[:, -1:].argmax(-1)), dim=1)
    np.testing.assert_array_equal(found.data, sequence.data)


def test_generation_goes_on_beyond_the_window(gpt2):
    found = gpt2.generate(tokens(2, 3), 20, temperature=0)
    assert found.shape == (2, 23)
    # position 9 was read from the last four on, 5 to 8
    np.testing.assert_array_equal(found.data[:, 9], gpt2(found[:, 5:9])[:, -1].argmax(-1).data)


def test_drawing_is_reproducible_and_follows_the_logits(gpt2):
    a, b = (gpt2.generate(tokens(1, 3) * 0, 5, top_k=5, generator=cr.random.Generator(3)) for _ in range(2))
    np.testing.assert_array_equal(a.data, b.data)
    chances = np.array([0.6, 0.3, 0.1])
    logits = cr.log(cr.tensor(chances)).expand(20000, 3)
    for options, expected in (({}, chances), ({"temperature": 0.5}, chances**2 / (chances**2).sum()),
                              ({"top_k": 2}, [2 / 3, 1 / 3, 0]), ({"top_p": 0.85}, [2 / 3, 1 / 3, 0]), ({"top_p": 0.5}, [1, 0, 0])):
        drawn = decoding.sample(lambda t: logits, cr.zeros(20000, 1).long(), 1, **options)
        np.testing.assert_allclose(np.bincount(drawn.data[:, 1], minlength=3) / 20000, expected, atol=0.015)


def test_top_p_keeps_the_likeliest_that_reach_p():
    logits = cr.randn(4, 20, dtype=cr.float64)
    kept = np.isfinite(decoding.filter_logits(logits, top_p=0.7).data)
    chances = F.softmax(logits, dim=-1).data
    for row, chance in zip(kept, chances, strict=True):
        assert chance[row].sum() >= 0.7 > chance[row].sum() - chance[row].min()
        assert chance[row].min() > chance[~row].max()


def all_continuations(model, source, start, count):
    """Every sequence of `count` tokens behind `start`, with its log-probability given the source (1, S)."""
    grid = np.stack(np.meshgrid(*[np.arange(11)] * count, indexing="ij"), axis=-1).reshape(-1, count)
    sequences = np.concatenate((np.full((len(grid), 1), start), grid), axis=1)
    with cr.no_grad():
        chances = F.log_softmax(model(source.expand(len(grid), source.shape[1]), cr.tensor(sequences[:, :-1])), dim=-1).data
    return grid, np.take_along_axis(chances, grid[:, :, None], axis=2)[:, :, 0]


def test_a_wide_beam_finds_the_best_of_all(original):
    source = tokens(2, 4, low=1)
    found, scores = decoding.beam_search(original.continuation(source, 121), np.full((2, 1), 1), 3, beams=121)
    for i in range(2):
        grid, chances = all_continuations(original, source[i: i + 1], 1, 3)
        order = np.argsort(-chances.sum(1))
        np.testing.assert_array_equal(found.data[i, :5, 1:], grid[order[:5]])
        np.testing.assert_allclose(scores.data[i, :5], chances.sum(1)[order[:5]], atol=1e-12)
    narrow, worse = decoding.beam_search(original.continuation(source, 1), np.full((2, 1), 1), 3, beams=1)
    np.testing.assert_array_equal(narrow.data[:, 0], decoding.greedy(original.continuation(source), np.full((2, 1), 1), 3).data)
    assert (worse.data[:, 0] <= scores.data[:, 0] + 1e-12).all()


@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_beams_end_where_they_should(original, penalty):
    source, end = tokens(1, 4, low=1), 3
    found, scores = decoding.beam_search(original.continuation(source, 121), [[1]], 3, 121, end, penalty)
    grid, chances = all_continuations(original, source, 1, 3)
    best = {}
    for sequence, chance in zip(grid, chances, strict=True):
        length = int(np.argmax(sequence == end)) + 1 if (sequence == end).any() else 3
        key = (*sequence[:length].tolist(), *[end] * (3 - length))
        best[key] = chance[:length].sum() / ((5 + length) / 6) ** penalty
    order = sorted(best, key=best.get, reverse=True)
    assert [tuple(row) for row in found.data[0, :5, 1:].tolist()] == order[:5]
    np.testing.assert_allclose(scores.data[0, :5], [best[key] for key in order[:5]], atol=1e-12)


def test_greedy_stops_at_the_end_and_fills_up():
    table = F.one_hot(cr.tensor([1, 2, 3, 3]), 4)  # 0 1 2 3 3
    calls = []
    found = decoding.greedy(lambda t: calls.append(t.shape) or table[t[:, -1]], [[0], [2]], 10, end=3)
    assert found.tolist() == [[0, 1, 2, 3], [2, 3, 3, 3]] and len(calls) == 3


@pytest.mark.parametrize("call", [
    lambda logits: decoding.greedy(logits, [1, 2], 3),
    lambda logits: decoding.sample(logits, np.zeros((2, 0), int), 3),
    lambda logits: decoding.beam_search(logits, [[1.5]], 3, 2),
])
def test_what_to_continue_is_checked(call):
    with pytest.raises(ShapeError, match="must be integers"):
        call(lambda t: cr.zeros(t.shape[0], 4))


@pytest.mark.parametrize("options", [{"temperature": 0}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}])
def test_filters_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        decoding.filter_logits(cr.zeros(3), **options)


def test_the_original_transformer_ignores_padding_and_the_future(original):
    source, target = tokens(2, 5, low=1), tokens(2, 4, low=1)
    logits = original(source, target)
    padded = cr.cat((source, cr.zeros(2, 3).long()), dim=1)
    np.testing.assert_allclose(original(padded, target).data, logits.data, atol=1e-12)
    changed = cr.cat((target[:, :3], (target[:, 3:] + 1) % 11), dim=1)
    np.testing.assert_allclose(original(source, changed).data[:, :3], logits.data[:, :3], atol=1e-12)
    assert original.output.weight is original.embedding.weight


def test_translating_reads_each_token_once_and_equals_the_whole(original):
    source, end = tokens(3, 5, low=1), 2
    found = original.train().translate(source, start=1, end=end, max_length=6)
    assert original.training
    original.eval()
    target = np.full((3, 1), 1)
    for _ in range(found.shape[1]):
        following = original(source, cr.tensor(target))[:, -1].argmax(-1).data
        following = np.where((target[:, 1:] == end).any(1), end, following)
        target = np.concatenate((target, following[:, None]), axis=1)
    np.testing.assert_array_equal(found.data, target[:, 1:])
    beams = original.translate(source, start=1, end=end, max_length=6, beams=3)
    assert beams.shape[0] == 3


def test_bert_does_not_look_at_padding():
    model = MODELS["BertForMaskedLM"]().double().eval()
    x = tokens(2, 5, low=1)
    padded = cr.cat((x, cr.zeros(2, 3).long()), dim=1)
    mask = cr.tensor([[1] * 5 + [0] * 3] * 2)
    np.testing.assert_allclose(model(padded, mask).data[:, :5], model(x).data, atol=1e-12)
    assert np.abs(model(padded).data[:, :5] - model(x).data).max() > 1e-6


@pytest.mark.parametrize(("message", "call"), [
    ("n_embd=6 must be a multiple of n_head=4", lambda: models.GPT2(11, 8, 6, 1, 4)),
    ("hidden_size=6 must be a multiple", lambda: models.BertModel(11, 6, 1, 4)),
    (r"must be \(N, L\) with at most n_positions=8", lambda: models.GPT2(11, 8, 6, 1, 2)(tokens(1, 9))),
    ("max_position_embeddings=8", lambda: models.BertForMaskedLM(**BERT)(tokens(1, 9))),
    ("attention_mask is", lambda: models.BertForMaskedLM(**BERT)(tokens(2, 5), cr.tensor([[1, 1, 1, 1, 1]]))),
    (r"must be \(N, length\)", lambda: models.OriginalTransformer(11, 8, 2, 1, 1, 8)(tokens(5), tokens(5))),
])
def test_errors_say_what_is_wrong(message, call):
    with pytest.raises((ShapeError, ValueError), match=message):
        call()


def write_names():
    """Make the committed list anew, with transformers: python -c "from tests.test_models_attention import *; write_names()"."""
    with pytest.MonkeyPatch.context() as patch:
        names = {name: {key: list(t.shape) for key, t in theirs(name, patch).state_dict().items()} for name in MODELS}
    text = ",\n".join(f"{json.dumps(name)}: {json.dumps(shapes)}" for name, shapes in names.items())
    Path(__file__).with_name("hugging_face_names.json").write_text(f"{{{text}}}\n", encoding="utf-8")
