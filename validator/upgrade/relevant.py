"""Which packages can move a model's numbers."""

from __future__ import annotations

from validator.base import Frozen
from validator.errors import ConfigurationError


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: What a Keras project installs to have a model at all.
FRAMEWORKS = _names("""
    keras tf-keras keras-nightly tf-keras-nightly keras-core
    tensorflow tensorflow-cpu tensorflow-gpu tensorflow-intel tensorflow-macos tensorflow-rocm
    tensorflow-cpu-aws intel-tensorflow tf-nightly tf-nightly-cpu jax torch
""")
#: Libraries of layers, models and preprocessing on top.
LIBRARIES = _names("""
    keras-nlp keras-hub keras-cv keras-rs keras-tuner
    tensorflow-text tensorflow-addons tensorflow-probability tensorflow-hub tensorflow-io tf-models-official
    tensorflow-ranking tensorflow-recommenders tensorflow-decision-forests tensorflow-lattice
    tensorflow-model-optimization flax optax torchvision torchaudio transformers
    tokenizers sentencepiece safetensors
""")
#: What computes, stores or describes arrays below the frameworks: the transitive requirements that matter.
FOUNDATIONS = _names("""
    numpy scipy h5py ml-dtypes protobuf flatbuffers jaxlib opt-einsum optree absl-py gast astunparse namex
    wrapt triton pytorch-triton onnxruntime openvino libclang tensorflow-io-gcs-filesystem
    tensorflow-estimator intel-openmp mkl tbb einops ai-edge-litert tflite-runtime onednn
    intel-extension-for-pytorch
""")
#: Names that begin so: the CUDA libraries of every framework, and accelerator plug-ins.
PREFIXES = (
    *("nvidia-", "jax-cuda", "jax-rocm", "jax-metal", "tensorflow-metal"),
    "intel-extension-for-tensorflow",
)


class Relevance(Frozen):
    """The packages that decide whether anything runs: the lists above and the configuration's own."""

    names: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = PREFIXES

    @classmethod
    def of(cls, patterns: tuple[str, ...]) -> Relevance:
        """Return the lists above, and packages by their name or as `name-*`; a `*` alone is refused."""
        if "*" in patterns:
            raise ConfigurationError("upgrade.relevant: `*` alone would be every package; write `name-*`")
        prefixes = tuple(pattern.removesuffix("*") for pattern in patterns if pattern.endswith("*"))
        return cls(names=frozenset(patterns), prefixes=(*PREFIXES, *prefixes))

    def __contains__(self, name: str) -> bool:
        """Whether a package, by its normalised name, can move a model's numbers."""
        return name in FRAMEWORKS | LIBRARIES | FOUNDATIONS | self.names or name.startswith(self.prefixes)
