"""A little Llama: a decoder-only language model in bfloat16."""
