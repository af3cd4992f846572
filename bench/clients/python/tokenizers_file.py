"""tokenizers: tokenizer.json gives ortune's ids, and texts back."""

from client import artefacts, done, equal, facts, tokens, version
from tokenizers import Tokenizer

tokenizer = Tokenizer.from_file(artefacts["checkpoint"] + "/tokenizer.json")
texts = [*facts["texts"], *({"text": each["text"], "ids": each["ids"]} for each in facts["checkpoint"])]
encoded = [tokenizer.encode(each["text"], add_special_tokens=False).ids for each in texts]
tokens("ids", encoded, [each["ids"] for each in texts])
equal(
    "texts of ids",
    [tokenizer.decode(each["ids"], skip_special_tokens=False) for each in texts],
    [each["text"] for each in texts],
)
done(version("tokenizers"))
