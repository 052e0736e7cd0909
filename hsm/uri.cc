// SPDX-License-Identifier: Apache-2.0
#include "colophon/hsm/uri.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <variant>

#include "hsm/text.h"

namespace colophon::hsm {
namespace {

constexpr std::string_view kScheme = "pkcs11:";

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

// pk11-res-avail of RFC 7512 section 2.3, and what the path and the query allow beyond it.
bool is_allowed(char c, bool in_query) {
  if (is_unreserved(c)) return true;
  if (std::string_view(":[]@!$'()*+,=").find(c) != std::string_view::npos) return true;
  return in_query ? (c == '/' || c == '?' || c == '|') : c == '&';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error malformed(std::string_view field, std::string message) {
  return make_error(ErrorCode::kMalformed, std::move(message), std::string(field));
}

Result<std::string> decode(std::string_view name, std::string_view encoded, bool in_query) {
  std::string value;
  value.reserve(encoded.size());
  for (std::size_t i = 0; i < encoded.size(); ++i) {
    const char c = encoded[i];
    if (c != '%') {
      if (!is_allowed(c, in_query)) {
        return malformed(name, "the PKCS#11 URI attribute '" + std::string(name) +
                                   "' has a character that must be percent-encoded (byte " +
                                   std::to_string(i) + " of its value)");
      }
      value += c;
      continue;
    }
    const int high = i + 1 < encoded.size() ? hex_value(encoded[i + 1]) : -1;
    const int low = i + 2 < encoded.size() ? hex_value(encoded[i + 2]) : -1;
    if (high < 0 || low < 0) {
      return malformed(name, "the PKCS#11 URI attribute '" + std::string(name) +
                                 "' has a '%' that two hexadecimal digits do not follow");
    }
    value += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return value;
}

using TextField = std::optional<std::string> Uri::*;

struct TextAttribute {
  std::string_view name;
  TextField field;
  std::size_t bytes_max;
  bool in_query;
};

// In the order of the canonical form; slot-id and id are not text and have code of their own.
constexpr std::size_t kPinSourceBytesMax = kModulePathBytesMax + 7;  // "file://" and a path
constexpr std::array<TextAttribute, 11> kTextAttributes = {{
    {"token", &Uri::token, 32, false},
    {"manufacturer", &Uri::manufacturer, 32, false},
    {"serial", &Uri::serial, 16, false},
    {"model", &Uri::model, 16, false},
    {"slot-manufacturer", &Uri::slot_manufacturer, 32, false},
    {"slot-description", &Uri::slot_description, 64, false},
    {"object", &Uri::object, kLabelBytesMax, false},
    {"type", &Uri::type, 10, false},
    {"module-path", &Uri::module_path, kModulePathBytesMax, true},
    {"module-name", &Uri::module_name, 255, true},
    {"pin-source", &Uri::pin_source, kPinSourceBytesMax, true},
}};

Result<void> check_length(std::string_view name, std::size_t size, std::size_t bytes_max) {
  if (size == 0) {
    return malformed(name, "the PKCS#11 URI attribute '" + std::string(name) +
                               "' is empty: leave it out to match anything");
  }
  if (size > bytes_max) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the PKCS#11 URI attribute '" + std::string(name) + "' has " +
                          std::to_string(size) + " bytes, the limit is " +
                          std::to_string(bytes_max),
                      std::string(name));
  }
  return {};
}

Error given_twice(std::string_view name) {
  return malformed(name, "the PKCS#11 URI has the attribute '" + std::string(name) + "' twice");
}

Result<void> set_text(Uri& uri, const TextAttribute& attribute, std::string value) {
  COLOPHON_TRY(check_length(attribute.name, value.size(), attribute.bytes_max));
  if (!is_uri_text(value)) {
    return malformed(attribute.name, "the PKCS#11 URI attribute '" + std::string(attribute.name) +
                                         "' is not UTF-8 text");
  }
  if (attribute.field == &Uri::type) {
    constexpr std::array<std::string_view, 5> kTypes = {"public", "private", "cert", "secret-key",
                                                        "data"};
    if (std::find(kTypes.begin(), kTypes.end(), value) == kTypes.end()) {
      return malformed("type",
                       "the PKCS#11 URI attribute 'type' must be public, private, cert, secret-key "
                       "or data");
    }
  }
  uri.*attribute.field = std::move(value);
  return {};
}

Result<void> set_slot_id(Uri& uri, std::string_view value) {
  std::uint64_t slot_id = 0;
  const auto [end, status] =
      std::from_chars(value.data(), value.data() + value.size(), slot_id, 10);
  if (value.empty() || status != std::errc() || end != value.data() + value.size()) {
    return malformed("slot-id",
                     "the PKCS#11 URI attribute 'slot-id' is not a decimal number below 2^64");
  }
  uri.slot_id = slot_id;
  return {};
}

bool is_vendor_name(std::string_view name) {
  return name.size() > 2 && name.substr(0, 2) == "x-" &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_unreserved(c) && c != '.' && c != '~'; });
}

Result<void> set_vendor(Uri& uri, std::string_view name, std::string value, bool in_query) {
  auto& attributes = in_query ? uri.vendor_query : uri.vendor_path;
  const bool seen = std::any_of(attributes.begin(), attributes.end(),
                                [&](const auto& attribute) { return attribute.first == name; });
  if (seen) return given_twice(name);
  attributes.emplace_back(std::string(name), std::move(value));
  return {};
}

Result<void> set_attribute(Uri& uri, std::string_view name, std::string_view encoded,
                           bool in_query) {
  if (name == "pin-value") {
    return make_error(
        ErrorCode::kInvalidArgument,
        "a PKCS#11 URI must not carry a PIN (pin-value): it would be seen in process "
        "lists and shell histories; use pin-source=file:PATH, --pin-file or --pin-env, "
        "and change this PIN",
        "pin-value");
  }
  COLOPHON_TRY_ASSIGN(std::string value, decode(name, encoded, in_query));
  for (const TextAttribute& attribute : kTextAttributes) {
    if (attribute.name != name || attribute.in_query != in_query) continue;
    if (uri.*attribute.field) return given_twice(name);
    return set_text(uri, attribute, std::move(value));
  }
  if (name == "slot-id" && !in_query) {
    if (uri.slot_id) return given_twice(name);
    return set_slot_id(uri, value);
  }
  if (name == "id" && !in_query) {
    if (uri.id) return given_twice(name);
    COLOPHON_TRY(check_length(name, value.size(), kKeyIdBytesMax));
    uri.id.emplace(value.begin(), value.end());
    return {};
  }
  if (is_vendor_name(name)) return set_vendor(uri, name, std::move(value), in_query);
  return make_error(ErrorCode::kUnsupported,
                    "the PKCS#11 URI has an attribute '" + printable(name) +
                        "' that is not known " + (in_query ? "after the '?'" : "before the '?'"),
                    printable(name));
}

// `separator` is ';' in the path and '&' in the query. An empty path or query has no attributes.
Result<void> parse_attributes(Uri& uri, std::string_view text, char separator, bool in_query) {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    const std::string_view attribute = text.substr(0, end);
    const std::size_t equals = attribute.find('=');
    if (equals == std::string_view::npos || equals == 0) {
      return malformed("uri", "the PKCS#11 URI has an attribute that is not NAME=VALUE");
    }
    COLOPHON_TRY(
        set_attribute(uri, attribute.substr(0, equals), attribute.substr(equals + 1), in_query));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
    if (text.empty()) {
      return malformed(
          "uri", std::string("the PKCS#11 URI ends its attributes with a '") + separator + "'");
    }
  }
  return {};
}

void append_encoded(std::string& out, char c) {
  constexpr char kHex[] = "0123456789ABCDEF";
  const auto byte = static_cast<std::uint8_t>(c);
  out += {'%', kHex[byte >> 4], kHex[byte & 15U]};
}

void append_text(std::string& out, std::string_view value, bool slash_stays) {
  for (const char c : value) {
    if (is_unreserved(c) || (slash_stays && (c == '/' || c == ':'))) {
      out += c;
    } else {
      append_encoded(out, c);
    }
  }
}

// Appends NAME= with the separator before it where one is due.
void append_name(std::string& out, std::string_view name, bool in_query, bool& first) {
  if (!first) out += in_query ? '&' : ';';
  if (first && in_query) out += '?';
  first = false;
  out += name;
  out += '=';
}

void append_attributes(std::string& out, const Uri& uri, bool in_query) {
  bool first = true;
  for (const TextAttribute& attribute : kTextAttributes) {
    if (attribute.in_query != in_query) continue;
    if (attribute.field == &Uri::slot_manufacturer && uri.slot_id) {
      append_name(out, "slot-id", in_query, first);
      out += std::to_string(*uri.slot_id);
    }
    if (attribute.field == &Uri::type && uri.id) {
      append_name(out, "id", in_query, first);
      for (const std::uint8_t byte : *uri.id) append_encoded(out, static_cast<char>(byte));
    }
    if (!(uri.*attribute.field)) continue;
    append_name(out, attribute.name, in_query, first);
    append_text(out, *(uri.*attribute.field), in_query);
  }
  for (const auto& [name, value] : in_query ? uri.vendor_query : uri.vendor_path) {
    append_name(out, name, in_query, first);
    append_text(out, value, in_query);
  }
}

}  // namespace

Result<Uri> parse_uri(std::string_view text) {
  if (text.size() > kUriBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the PKCS#11 URI has " + std::to_string(text.size()) +
                          " bytes, the limit is " + std::to_string(kUriBytesMax),
                      "uri");
  }
  if (text.substr(0, kScheme.size()) != kScheme) {
    return malformed("uri",
                     "not a PKCS#11 URI: it must start with pkcs11: (for example "
                     "pkcs11:token=NAME;object=KEY?module-path=/path/to/module.so)");
  }
  text.remove_prefix(kScheme.size());
  const std::size_t question = text.find('?');
  Uri uri;
  COLOPHON_TRY(parse_attributes(uri, text.substr(0, question), ';', false));
  if (question != std::string_view::npos) {
    if (question + 1 == text.size()) {
      return malformed("uri", "the PKCS#11 URI has nothing after its '?'");
    }
    COLOPHON_TRY(parse_attributes(uri, text.substr(question + 1), '&', true));
  }
  // Percent-encoding makes the canonical form longer; it must be a URI too.
  if (const std::size_t size = format_uri(uri).size(); size > kUriBytesMax) {
    return make_error(ErrorCode::kLimitExceeded,
                      "the PKCS#11 URI has " + std::to_string(size) +
                          " bytes in its canonical form, the limit is " +
                          std::to_string(kUriBytesMax),
                      "uri");
  }
  return uri;
}

std::string format_uri(const Uri& uri) {
  std::string out(kScheme);
  append_attributes(out, uri, false);
  append_attributes(out, uri, true);
  return out;
}

}  // namespace colophon::hsm
