// SPDX-License-Identifier: Apache-2.0
//
// Writes the seed corpora: for each target a few right inputs, so that the fuzzer begins behind the
// first checks. usage: fuzz_write_seeds DIR
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "node/base64.h"
#include "tests/fuzz/right_inputs.h"

namespace colophon::fuzz {
namespace {

using node::Der;
using node::test::must;

// Where a target chooses between bytes as they are and a right input that is edited: the former.
constexpr char kAsItIs = '\0';
constexpr char kEdited = '\1';

class Corpora {
 public:
  // What an earlier run wrote or found is removed: each run starts from the same inputs.
  explicit Corpora(const std::filesystem::path& folder) : folder_(folder) {
    std::filesystem::remove_all(folder_);
  }
  // `choices` are the bytes by which the target decides what to do with the rest.
  void write(const std::string& target, const std::string& choices, std::string_view rest) {
    std::filesystem::create_directories(folder_ / target);
    const std::filesystem::path path = folder_ / target / ("seed-" + std::to_string(count_++));
    std::ofstream out(path, std::ios::binary);
    out << choices << rest;
    if (!out.flush()) {
      std::fprintf(stderr, "cannot write %s\n", path.c_str());
      std::exit(1);
    }
  }
  void write(const std::string& target, const std::string& choices, const Der& rest) {
    write(target, choices, text_of(rest));
  }
  // For targets that choose among `right` inputs: each as it is, and each to be edited.
  template <class Input>
  void write_all(const std::string& target, const std::string& choices,
                 const std::vector<Input>& right) {
    for (std::size_t i = 0; i < right.size(); ++i) {
      write(target, choices + kAsItIs, right[i]);
      write(target, choices + kEdited + static_cast<char>(i), std::string("\0\3\0\0", 4));
      // For texts: no edit of the list, then a line end put in at the end.
      write(target, choices + kEdited + static_cast<char>(i), std::string("\3\0\3\0\3\0\4\0\1", 9));
    }
  }

 private:
  std::filesystem::path folder_;
  int count_ = 0;
};

void write_ledger(Corpora& corpora) {
  const FuzzChain chain;
  corpora.write_all("transaction", "", right_transactions(chain));
  corpora.write_all("event", "", right_leaves());
  char which = 0;
  for (const Call& call : right_calls(chain)) {
    const std::string choices{static_cast<char>(call.contract == "registry"),
                              static_cast<char>(call.signer)};
    corpora.write("contract", choices + kAsItIs, call.payload);
    corpora.write("contract", choices + kEdited + which++, std::string("\0\x0a\0", 3));
  }
  const std::string submit("\x0f\0", 2);
  const std::string sent = node::base64_encode(bytes_of(right_transactions(chain).back()));
  corpora.write("api", submit + kAsItIs, "{\"transaction\":\"" + sent + "\"}");
  for (char body = 0; body < 2; ++body) {
    corpora.write("api", submit + kEdited + body, std::string("\3\0\3\0\3\0\4\0\1", 9));
  }
  for (char path = 0; path < 17; ++path) {
    corpora.write("api", {path, 0}, "");
    corpora.write("api", {path, '\x08', 3, 2, 4, 5}, "");  // index=2, size=5
    corpora.write("api", {path, '\x08', 1, 2, 2, 5}, "");  // from=2, to=5
  }
  corpora.write_all("genesis", "", right_genesis());
  corpora.write("genesis", std::string(1, kAsItIs), R"({"a":{"b":[1,{"c":"\u00e9"}]},"d":-1.5e3})");
}

void write_certificates(Corpora& corpora) {
  const node::test::SmallLog log;
  node::test::LogOptions options;
  options.salt = Der(32, 0x5c);
  const node::test::SmallLog salted(options);
  for (const auto* one : {&log, &salted}) {
    corpora.write("certificate", std::string(1, '\0'), one->file());
    corpora.write("certificate", {'\3', kAsItIs}, one->parts.leaf);
  }
  for (char file = 0; file < 2; ++file) {
    corpora.write("certificate", {'\1', file, '\1'}, std::string("\1\5\0\1", 4));
    corpora.write("certificate", {'\1', file, '\0'}, std::string("\0\x10\0", 3));
    corpora.write("certificate", {'\3', kEdited, file}, std::string("\1\6\3", 3));
    corpora.write("certificate", {'\3', kEdited, file}, std::string("\x0a\x0a\6\6\2", 5));
  }
  corpora.write("certificate", std::string(1, '\4'), std::string("\0\1\1", 3));
  corpora.write("checkpoint", std::string(1, '\0'), log.parts.checkpoint);
  corpora.write("checkpoint", std::string(1, '\1'), std::string("\0\0\x10", 3));
  const std::size_t body = log.parts.checkpoint.find("\n\n") + 1;
  corpora.write("checkpoint", std::string(1, '\2'), log.parts.checkpoint.substr(0, body));

  corpora.write_all("x509", "", right_certificates());
  corpora.write_all("der", "", right_der());
  corpora.write_all("pem", "", right_pem());
  // Day, moment of it, certificates, then two bytes of choices for each.
  for (char count = 0; count < 4; ++count) {
    corpora.write("x509_chain", {2, 0, count}, std::string(12, '\0'));
  }
  // A leaf under the root's own name, of a key of its own, without a subject key identifier.
  corpora.write("x509_chain", {0, 0, 0}, std::string("hh\0\0\0\0", 6));
}

void write_keys_and_signatures(Corpora& corpora) {
  for (char kind = 0; kind < 6; ++kind) corpora.write_all("public_key", {kind}, right_spkis());
  for (const hsm::KeyType type : {hsm::KeyType::kP256, hsm::KeyType::kEd25519}) {
    const auto signer = node::test::MemorySigner::create(type, 31);
    const Der& raw = signer->public_key().raw;
    const char kind = type == hsm::KeyType::kP256 ? '\4' : '\5';
    corpora.write("public_key", {kind, kAsItIs}, node::der(node::der_tag::kOctetString, {raw}));
    for (char other = 0; other < 6; ++other) corpora.write("public_key", {other, kAsItIs}, raw);
  }
  const Der spki = right_spkis()[0];
  const ByteSpan point = ByteSpan(spki).last(65);
  corpora.write("public_key", {'\0', kAsItIs}, text_of(point));
  corpora.write("public_key", {'\4', kAsItIs}, text_of(point.subspan(1)));

  const std::string keys("\1\2\3\4\5\6\7\x08", 8);
  for (char scheme = 0; scheme < 4; ++scheme) {
    for (const char options : {'\0', '\1', '\2', '\x0d'}) {
      for (char bend = 0; bend < 8; ++bend) {
        const std::string rest = scheme == 3 ? std::string{bend, bend} + "\5hello" + bend
                                             : std::string{'\0', bend} + "\5hello" + bend;
        corpora.write("verify", {scheme, options}, keys + rest);
      }
    }
  }
  // r or s at an edge: 0, 1, n/2 and one more, n - 1, n, n + 1, 2^256 - 1, 2^256.
  for (char scheme = 0; scheme < 3; ++scheme) {
    for (const char options : {'\0', '\1', '\x08'}) {
      for (const char edge : {'\0', '\1', '\6', '\7', '\x12', '\2', '\3', '\x18', '\x08'}) {
        for (const char bend : {'\6', '\7'}) {
          corpora.write("verify", {scheme, options}, keys + '\0' + bend + "\5hello" + edge);
        }
      }
    }
  }
}

void write_texts(Corpora& corpora) {
  corpora.write_all("signature_line", "", right_signature_lines());
  std::string lines;
  for (const std::string& line : right_signature_lines())
    lines += line + "\n\n[]\n{\"scheme\":1}\n";
  corpora.write("signature_line", std::string(1, kAsItIs), lines);
  corpora.write_all("uri", "", right_uris());
  corpora.write("uri", std::string(1, kAsItIs), "pkcs11:token=S3CR3T?pin-value=S3CR3T");

  const RightProofs proofs = right_proofs();
  corpora.write_all("merkle", {'\0'},
                    std::vector<std::string>{proofs.inclusion, proofs.inclusion_sha512});
  corpora.write_all("merkle", {'\1'}, std::vector<std::string>{proofs.consistency});
  for (char size = 1; size < 70; size = static_cast<char>(size + 11)) {
    for (char kind = 0; kind < 2; ++kind) {
      corpora.write("merkle", {2, size, kind}, std::string{static_cast<char>(size / 2), 5});
      corpora.write("merkle", {3, size, static_cast<char>(size / 2)}, std::string{2, 0, kind, 5});
    }
    corpora.write("merkle", {4, size, 3}, std::string{1, static_cast<char>(size / 2), 7, 1, 5});
  }

  corpora.write("text", std::string(1, '\0'), "Zm9vYmE=");
  corpora.write("text", std::string(1, '\1'), "00ffAb");
  const std::string hash(64, 'a');
  corpora.write("text", std::string(1, '\4'), hash + "  name");
  corpora.write("text", std::string(1, '\4'), "\\SHA256 (a\\\\\\n\\r) = " + hash);
  corpora.write("text", std::string(1, '\2'), std::string("\0\0\1\x9a\x44\xbe\xdc\xb2", 8));
  // Around the edges of UTF-8: lengths, surrogates, the last code point.
  for (const char* edge :
       {"\x7f\xc2\x80", "\xc1\xbf", "\xdf\xbf\xe0\xa0\x80", "\xe0\x9f\xbf", "\xed\x9f\xbf",
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xee\x80\x80", "\xef\xbf\xbf\xf0\x90\x80\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"}) {
    corpora.write("text", std::string(1, '\3'), std::string_view(edge));
  }
}

}  // namespace
}  // namespace colophon::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_write_seeds DIR\n");
    return 2;
  }
  colophon::fuzz::Corpora corpora(argv[1]);
  colophon::fuzz::write_ledger(corpora);
  colophon::fuzz::write_certificates(corpora);
  colophon::fuzz::write_keys_and_signatures(corpora);
  colophon::fuzz::write_texts(corpora);
  return 0;
}
