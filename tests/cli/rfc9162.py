# SPDX-License-Identifier: Apache-2.0
"""Merkle trees of RFC 9162, as they are written there. `digest` hashes bytes to bytes."""
import hashlib


def sha256(message):
    return hashlib.sha256(message).digest()


def largest_power_of_two_below(n):
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def tree_root(leaves, digest=sha256):
    """Section 2.1.1."""
    if not leaves:
        return digest(b"")
    if len(leaves) == 1:
        return digest(b"\0" + leaves[0])
    k = largest_power_of_two_below(len(leaves))
    return digest(b"\1" + tree_root(leaves[:k], digest) + tree_root(leaves[k:], digest))


def inclusion_path(index, leaves, digest=sha256):
    """Section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_of_two_below(len(leaves))
    if index < k:
        return inclusion_path(index, leaves[:k], digest) + [tree_root(leaves[k:], digest)]
    return inclusion_path(index - k, leaves[k:], digest) + [tree_root(leaves[:k], digest)]


def consistency_path(old, leaves, digest=sha256, whole=True):
    """Section 2.1.4.1."""
    if old == len(leaves):
        return [] if whole else [tree_root(leaves, digest)]
    k = largest_power_of_two_below(len(leaves))
    if old <= k:
        return consistency_path(old, leaves[:k], digest, whole) + [tree_root(leaves[k:], digest)]
    return consistency_path(old - k, leaves[k:], digest, False) + [tree_root(leaves[:k], digest)]
