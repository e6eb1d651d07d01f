"""Decompositions of tensors: Tucker, canonical polyadic, block terms, tensor trains and their quantised form.

There is no hierarchical Tucker form. Tensors of attention have order three or four: (head, query, key), (token, head,
feature), (layer, head, feature, model). Over three modes a binary tree has no matricisation that Tucker lacks, since
that of two modes is the transpose of that of the third: the form is the Tucker form. Over four modes it adds one, that
of the first two modes against the last two, and this is the middle bond of a tensor train: a train whose cores are
compressed along their modes (a train, then Tucker of its cores) holds the same tensors in the same storage. Only from
order five on is the tree a form of its own, and there the digits of a quantised train are what long axes need.
"""
