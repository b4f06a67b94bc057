#include "fields.h"

#include <algorithm>
#include <cstring>

namespace hyperseg::tensorrt {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

constexpr int kMostFields = 64;
constexpr int kLongestText = 64;

std::int64_t element(const PluginField& field, int index) {
  if (field.type == PluginFieldType::kINT64) {
    std::int64_t value = 0;
    std::memcpy(&value, static_cast<const char*>(field.data) + index * sizeof(value), sizeof(value));
    return value;
  }
  std::int32_t value = 0;
  std::memcpy(&value, static_cast<const char*>(field.data) + index * sizeof(value), sizeof(value));
  return value;
}

}  // namespace

FieldReader::FieldReader(const char* operator_name, const nvinfer1::PluginFieldCollection* fields)
    : operator_name_(operator_name), fields_(fields) {
  if (fields == nullptr) {
    fail("no fields were passed");
  } else if (fields->nbFields < 0 || fields->nbFields > kMostFields) {
    fail(std::to_string(fields->nbFields) + " fields were passed; at most " + std::to_string(kMostFields) +
         " are plausible");
  } else if (fields->nbFields > 0 && fields->fields == nullptr) {
    fail("the list of fields is null");
  }
}

void FieldReader::fail(const std::string& message) {
  if (error_.empty()) error_ = operator_name_ + ": " + message;
}

const PluginField* FieldReader::find(const char* name, Presence presence) {
  known_.emplace_back(name);
  if (!error_.empty()) return nullptr;
  const PluginField* found = nullptr;
  for (int i = 0; i < fields_->nbFields; ++i) {
    const PluginField& field = fields_->fields[i];
    if (field.name == nullptr || std::strcmp(field.name, name) != 0) continue;
    if (found != nullptr) {
      fail("field " + std::string(name) + " is given twice");
      return nullptr;
    }
    found = &field;
  }
  if (found == nullptr && presence == Presence::kRequired) fail("field " + std::string(name) + " is missing");
  if (found != nullptr && found->data == nullptr) {
    fail("field " + std::string(name) + " has no data");
    return nullptr;
  }
  return found;
}

bool FieldReader::integers(const char* name, Presence presence, int count, int least, int most, int* values) {
  const PluginField* field = find(name, presence);
  if (field == nullptr) return false;
  if (field->type != PluginFieldType::kINT32 && field->type != PluginFieldType::kINT64) {
    fail("field " + std::string(name) + " is not an integer (TensorRT field type " +
         std::to_string(static_cast<int>(field->type)) + ")");
    return false;
  }
  if (field->length != count) {
    fail("field " + std::string(name) + " has " + std::to_string(field->length) + " values; expected " +
         std::to_string(count));
    return false;
  }
  for (int i = 0; i < count; ++i) {
    const std::int64_t value = element(*field, i);
    if (value < least || value > most) {
      fail(std::string(name) + " is " + std::to_string(value) + "; it must lie between " + std::to_string(least) +
           " and " + std::to_string(most));
      return false;
    }
    values[i] = static_cast<int>(value);
  }
  return true;
}

void FieldReader::integer(const char* name, Presence presence, int least, int most, int* value) {
  integers(name, presence, 1, least, most, value);
}

void FieldReader::flag(const char* name, bool* value) {
  int number = 0;
  if (integers(name, Presence::kOptional, 1, 0, 1, &number)) *value = number != 0;
}

void FieldReader::pair(const char* name, Presence presence, int least, int most, int* first, int* second) {
  int values[2] = {};
  if (!integers(name, presence, 2, least, most, values)) return;
  *first = values[0];
  *second = values[1];
}

void FieldReader::text(const char* name, std::string* value) {
  const PluginField* field = find(name, Presence::kOptional);
  if (field == nullptr) return;
  if (field->type != PluginFieldType::kCHAR) {
    fail("field " + std::string(name) + " is not text (TensorRT field type " +
         std::to_string(static_cast<int>(field->type)) + ")");
  } else if (field->length < 0 || field->length > kLongestText) {
    fail("field " + std::string(name) + " has length " + std::to_string(field->length) + "; at most " +
         std::to_string(kLongestText) + " are plausible");
  } else {
    const char* begin = static_cast<const char*>(field->data);
    *value = std::string(begin, std::find(begin, begin + field->length, '\0'));
  }
}

Error FieldReader::finish() {
  for (int i = 0; error_.empty() && i < fields_->nbFields; ++i) {
    const char* name = fields_->fields[i].name;
    if (name == nullptr) {
      fail("field " + std::to_string(i) + " has no name");
    } else if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      fail("field " + std::string(name) + " is unknown to version 1 of the operator");
    }
  }
  return error_;
}

void FieldWriter::integer(const char* name, int value) {
  integers_.push_back({value});
  fields_.emplace_back(name, integers_.back().data(), PluginFieldType::kINT32, 1);
}

void FieldWriter::pair(const char* name, int first, int second) {
  integers_.push_back({first, second});
  fields_.emplace_back(name, integers_.back().data(), PluginFieldType::kINT32, 2);
}

void FieldWriter::text(const char* name, const std::string& value) {
  texts_.push_back(value);
  fields_.emplace_back(name, texts_.back().c_str(), PluginFieldType::kCHAR,
                       static_cast<std::int32_t>(value.size() + 1));
}

const nvinfer1::PluginFieldCollection* FieldWriter::collection() {
  collection_.nbFields = static_cast<std::int32_t>(fields_.size());
  collection_.fields = fields_.data();
  return &collection_;
}

std::string FieldWriter::summary() const {
  std::string result;
  for (const PluginField& field : fields_) {
    result += (result.empty() ? "" : " ") + std::string(field.name) + "=";
    if (field.type == PluginFieldType::kCHAR) {
      result += static_cast<const char*>(field.data);
      continue;
    }
    for (int i = 0; i < field.length; ++i) result += (i == 0 ? "" : ",") + std::to_string(element(field, i));
  }
  return result;
}

}  // namespace hyperseg::tensorrt
