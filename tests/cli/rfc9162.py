# SPDX-License-Identifier: Apache-2.0
"""Merkle trees of RFC 9162 with SHA-256, as they are written there."""
import hashlib


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + leaf).digest()


def tree_root(leaves):
    """RFC 9162 section 2.1.1, as it is written."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaf_hash(leaves[0])
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + tree_root(leaves[:k]) + tree_root(leaves[k:])).digest()


def inclusion_path(index, leaves):
    """RFC 9162 section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if index < k:
        return inclusion_path(index, leaves[:k]) + [tree_root(leaves[k:])]
    return inclusion_path(index - k, leaves[k:]) + [tree_root(leaves[:k])]


def consistency_path(old, leaves, whole=True):
    """RFC 9162 section 2.1.4.1."""
    if old == len(leaves):
        return [] if whole else [tree_root(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if old <= k:
        return consistency_path(old, leaves[:k], whole) + [tree_root(leaves[k:])]
    return consistency_path(old - k, leaves[k:], False) + [tree_root(leaves[:k])]
