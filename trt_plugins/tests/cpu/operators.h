#pragma once

#include "judge.h"
#include "random.h"

/// One random shape of each operator through its kernel, in both storage types where it has two.
namespace hyperseg::test {

void test_decoder_operators(Random& random, Judge& judge);

/// MBConv.
void test_encoder_operator(Random& random, Judge& judge);
/// libhyperseg_cpu.so's function, on several threads of its own.
void test_labels_interface(Random& random);

}  // namespace hyperseg::test
