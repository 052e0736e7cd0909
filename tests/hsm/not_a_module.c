/* SPDX-License-Identifier: Apache-2.0
 * A shared library that is no PKCS#11 module. */
int colophon_not_a_module(void);
int colophon_not_a_module(void) { return 0; }
