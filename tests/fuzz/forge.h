// SPDX-License-Identifier: Apache-2.0
//
// Edits that keep a structure whole: of protobuf messages and of DER, field by field and element by
// element, with the lengths around them written anew. Random bytes seldom get that far.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "node/der.h"
#include "node/wire_writer.h"
#include "tests/fuzz/fuzz_input.h"

namespace colophon::fuzz {

// --- protobuf ------------------------------------------------------------------------------------

struct WireField {
  std::uint64_t number = 0;
  unsigned type = node::kWireVarint;
  std::uint64_t value = 0;
  std::string bytes;
  bool long_tag = false;    // written with a byte more than it needs
  bool long_value = false;  // the same of the value or the length
};

inline std::uint64_t read_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; !rest.empty() && shift < 64; shift += 7) {
    const auto byte = static_cast<std::uint8_t>(rest.front());
    rest.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) break;
  }
  return value;
}

// Requires a right message.
inline std::vector<WireField> read_fields(std::string_view message) {
  std::vector<WireField> fields;
  while (!message.empty()) {
    WireField field;
    const std::uint64_t tag = read_varint(message);
    field.number = tag >> 3;
    field.type = tag & 7;
    field.value = read_varint(message);
    if (field.type == node::kWireBytes) {
      field.bytes = message.substr(0, field.value);
      message.remove_prefix(field.bytes.size());
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

inline void write_varint(std::string& out, std::uint64_t value, bool too_long) {
  node::append_varint(out, value);
  if (!too_long) return;
  out.back() = static_cast<char>(out.back() | 0x80);
  out += '\0';
}

inline std::string write_fields(const std::vector<WireField>& fields) {
  std::string out;
  for (const WireField& field : fields) {
    write_varint(out, field.number << 3 | field.type, field.long_tag);
    const bool bytes = field.type == node::kWireBytes;
    write_varint(out, bytes ? field.bytes.size() : field.value, field.long_value);
    if (bytes) out += field.bytes;
  }
  return out;
}

inline std::uint64_t choose_number(FuzzInput& input) {
  constexpr std::uint64_t kEdges[] = {0,
                                      1,
                                      2,
                                      3,
                                      0xffffffff,
                                      0x100000000,
                                      0x100000001,
                                      253402300799999,
                                      253402300800000,
                                      0xffffffffffffffff};
  const std::size_t which = input.choice(12);
  if (which < std::size(kEdges)) return kEdges[which];
  return which == 10 ? input.byte() : input.number();
}

// Up to three edits of the fields of `message`; those of number `nested` hold messages themselves.
inline std::string forge_message(const std::string& message, std::uint64_t nested,
                                 FuzzInput& input) {
  std::vector<WireField> fields = read_fields(message);
  for (int i = 0; i < 3 && !input.empty() && !fields.empty(); ++i) {
    const std::size_t at = input.choice(fields.size());
    WireField& field = fields[at];
    switch (input.choice(11)) {
      case 0:
        field.long_tag = true;
        break;
      case 1:
        field.long_value = true;
        break;
      case 2:
        fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(at));
        break;
      case 3: {
        const WireField copy = field;
        fields.insert(fields.begin() + static_cast<std::ptrdiff_t>(at), copy);
        break;
      }
      case 4:
        std::swap(field, fields[input.choice(fields.size())]);
        break;
      case 5:
        field.value = 0;
        field.bytes.clear();
        break;
      case 6:
        field.value = choose_number(input);
        break;
      case 7:
        field.value += input.byte();
        field.value -= input.byte();
        break;
      case 8:
        edit(field.bytes, input, 2);
        break;
      case 9:
        field.number = input.choice(16);
        break;
      default:
        if (field.number == nested && field.type == node::kWireBytes) {
          field.bytes = forge_message(field.bytes, 0, input);
        }
        break;
    }
  }
  return write_fields(fields);
}

// All that is left as it is, or one of the right messages, forged.
inline std::string choose_message(FuzzInput& input, const std::vector<std::string>& right,
                                  std::uint64_t nested) {
  if (!input.flag()) return std::string(text_of(input.rest()));
  return forge_message(right[input.choice(right.size())], nested, input);
}

// --- DER -----------------------------------------------------------------------------------------

struct DerNode {
  enum class Length : std::uint8_t { kShortest, kOneByteMore, kIndefinite };

  std::uint8_t tag = 0;
  Length length = Length::kShortest;
  std::vector<std::uint8_t> content;  // of primitives
  std::vector<DerNode> children;      // of constructed elements
};

// Requires DER.
inline DerNode read_der(ByteSpan bytes) {
  node::DerReader reader(bytes);
  const auto element = reader.next("element");
  require(element.ok(), "what is forged is DER");
  DerNode made;
  made.tag = element->tag;
  // An extension's value is DER inside an OCTET STRING.
  if (made.tag == node::der_tag::kOctetString && node::check_der(element->content, "value").ok()) {
    made.children.push_back(read_der(element->content));
    return made;
  }
  if ((made.tag & 0x20) == 0) {
    made.content.assign(element->content.begin(), element->content.end());
    return made;
  }
  node::DerReader children(element->content);
  while (!children.empty()) {
    const auto child = children.next("child");
    require(child.ok(), "what is forged is DER");
    made.children.push_back(read_der(child->encoding));
  }
  return made;
}

inline node::Der write_der(const DerNode& element) {
  node::Der content = element.content;
  for (const DerNode& child : element.children) {
    const node::Der bytes = write_der(child);
    content.insert(content.end(), bytes.begin(), bytes.end());
  }
  if (element.length == DerNode::Length::kIndefinite) {
    content.insert(content.begin(), {element.tag, 0x80});
    content.insert(content.end(), {0x00, 0x00});
    return content;
  }
  node::Der whole = node::der(element.tag, {content});
  if (element.length == DerNode::Length::kOneByteMore) {
    const bool short_form = whole[1] < 0x80;
    whole.insert(whole.begin() + (short_form ? 1 : 2), short_form ? 0x81 : 0x00);
    if (!short_form) ++whole[1];
  }
  return whole;
}

inline void collect(DerNode& element, std::vector<DerNode*>& all) {
  all.push_back(&element);
  for (DerNode& child : element.children) collect(child, all);
}

// Up to three edits of the elements inside `bytes`, and perhaps a byte behind them.
inline node::Der forge_der(ByteSpan bytes, FuzzInput& input) {
  DerNode root = read_der(bytes);
  for (int i = 0; i < 3 && !input.empty(); ++i) {
    std::vector<DerNode*> all;
    collect(root, all);
    DerNode& element = *all[input.choice(all.size())];
    auto& children = element.children;
    const std::size_t at = children.empty() ? 0 : input.choice(children.size());
    const auto here = children.begin() + static_cast<std::ptrdiff_t>(at);
    switch (input.choice(10)) {
      case 0:
        element.length = DerNode::Length::kOneByteMore;
        break;
      case 1:
        element.length = DerNode::Length::kIndefinite;
        break;
      case 2:
        element.content.insert(element.content.begin(), input.flag() ? 0x00 : 0xff);
        break;
      case 3:
        edit(element.content, input, 2);
        break;
      case 4:
        element.tag = input.byte();
        break;
      case 5:
        if (!children.empty()) children.erase(here);
        break;
      case 6:
        if (!children.empty()) children.insert(here, DerNode(*here));
        break;
      case 7:
        if (!children.empty()) std::swap(*here, children[input.choice(children.size())]);
        break;
      case 8: {
        // A copy of another element: never into itself, so that nothing grows without end.
        const DerNode copy = *all[input.choice(all.size())];
        if (write_der(copy).size() < 256) children.push_back(copy);
        break;
      }
      default:
        if (!element.content.empty()) element.content.pop_back();
        break;
    }
  }
  node::Der forged = write_der(root);
  if (input.flag()) forged.push_back(input.byte());
  return forged;
}

inline node::Der choose_der(FuzzInput& input, const std::vector<node::Der>& right) {
  if (!input.flag()) {
    const ByteSpan rest = input.rest();
    return {rest.begin(), rest.end()};
  }
  return forge_der(right[input.choice(right.size())], input);
}

}  // namespace colophon::fuzz
