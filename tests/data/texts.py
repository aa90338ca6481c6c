"""Small tokenisers, and datasets as the library datasets saves them, for tests of text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
WORDS = "the state of a model is what it carries from one position to the next; its age is how many it has read.\n"


def byte_pairs(folder: Path, size: int = 300, text: str = WORDS) -> Path:
    """A folder with a tokeniser of byte pairs, such as those of GPT-2 and Mamba are."""
    trained = tokenizers.Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    trained.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=[END], initial_alphabet=alphabet, show_progress=False, min_frequency=1
    )
    trained.train_from_iterator([text], trainer)
    PreTrainedTokenizerFast(tokenizer_object=trained, eos_token=END).save_pretrained(folder)
    return folder


def with_start(folder: Path) -> Path:
    """A tokeniser of words that puts ``<s>`` before a text, and that has no mark of an end."""
    words = {word: number for number, word in enumerate(["<s>", "?", "one", "two", "three"])}
    made = tokenizers.Tokenizer(models.WordLevel(words, "?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    made.post_processor = tokenizers.processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>").save_pretrained(folder)
    return folder


def save_dataset(folder: Path, columns: dict[str, list], shards: int = 2) -> None:
    """What ``Dataset.save_to_disk`` of datasets 5.2 writes: state.json, dataset_info.json and Arrow streams."""
    folder.mkdir(parents=True)
    table = pa.table(columns)
    kinds = {"string": "string", "int64": "int64"}
    features = {each.name: {"dtype": kinds[str(each.type)], "_type": "Value"} for each in table.schema}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    names = [f"data-{number:05}-of-{shards:05}.arrow" for number in range(shards)]
    size = -(-len(table) // shards)
    for number, name in enumerate(names):
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table.slice(number * size, size), max_chunksize=2)
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "bffe23d2cb56bf52",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=2))
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2))


def save_datasets(folder: Path, splits: dict[str, Sequence[str]]) -> None:
    """What ``DatasetDict.save_to_disk`` writes."""
    for name, texts in splits.items():
        save_dataset(folder / name, {"text": list(texts)}, shards=1)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
