"""The names and signatures of torch.nn.functional."""

from chainrule.functional.attention import scaled_dot_product_attention
from chainrule.functional.recurrent import gru, lstm, rnn

__all__ = ["gru", "lstm", "rnn", "scaled_dot_product_attention"]
