// Images without a library to decode them: binary PPM (P6) in, PGM (P5) out, eight bits a sample. ffmpeg, ImageMagick
// and OpenCV read and write both.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

struct Image {
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::vector<std::uint8_t> samples;  // RGB [height, width, 3]
};

// Throws std::runtime_error with a line that says what to do.
inline Image read_ppm(const std::string& path) {
  constexpr std::int64_t largest_side = 1 << 15;
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    throw std::runtime_error(path + " cannot be opened; name a PPM image (ffmpeg -i photo.jpg photo.ppm)");
  }
  std::string magic;
  Image image;
  std::int64_t maximum = 0;
  const auto next = [&file] {
    while ((file >> std::ws).peek() == '#') {  // a comment, until the end of its line
      file.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    std::int64_t value = 0;
    file >> value;
    return value;
  };
  file >> magic;
  if (magic == "P6") {
    image.width = next();
    image.height = next();
    maximum = next();
  }
  const bool sides = image.width > 0 && image.height > 0 && image.width <= largest_side && image.height <= largest_side;
  if (!file || !sides || maximum != 255) {
    throw std::runtime_error(path + " is no binary PPM image with samples up to 255; " +
                             "convert it (ffmpeg -i photo.jpg photo.ppm)");
  }
  file.get();  // one white space ends the header
  image.samples.resize(static_cast<std::size_t>(image.height * image.width * 3));
  file.read(reinterpret_cast<char*>(image.samples.data()), static_cast<std::streamsize>(image.samples.size()));
  if (!file) {
    throw std::runtime_error(path + " ends before its last pixel; convert the image again");
  }
  return image;
}

// Throws std::runtime_error where `output` is one of the input files, by whatever name.
inline void keep_inputs(const std::string& output, std::initializer_list<std::string> inputs) {
  for (const std::string& input : inputs) {
    std::error_code missing;  // reported where the file is opened
    if (std::filesystem::equivalent(input, output, missing)) {
      throw std::runtime_error(output + " is an input, which would be lost; name another file for the labels");
    }
  }
}

// Writes labels [height, width]. Throws std::runtime_error.
inline void write_pgm(const std::string& path, std::int64_t height, std::int64_t width, const std::uint8_t* labels) {
  std::ofstream file(path, std::ios::binary);
  file << "P5\n" << width << ' ' << height << "\n255\n";
  file.write(reinterpret_cast<const char*>(labels), static_cast<std::streamsize>(height * width));
  if (!file.flush()) {
    throw std::runtime_error(path + " cannot be written; name another file");
  }
}

// Whether an image of [height, width] fits an input or output of these extents; -1 is any.
inline bool fits(const std::vector<std::int64_t>& extents, const std::vector<std::int64_t>& shape) {
  if (extents.size() != shape.size()) {
    return false;
  }
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (extents[axis] >= 0 && extents[axis] != shape[axis]) {
      return false;
    }
  }
  return true;
}

inline std::string text_of(const std::vector<std::int64_t>& extents) {
  std::string text = "[";
  for (const std::int64_t extent : extents) {
    text += (text.size() > 1 ? ", " : "") + (extent < 0 ? std::string("any") : std::to_string(extent));
  }
  return text + "]";
}
