/// What tests/interop/*.py compare with TensorFlow:
///   pipelines write PATH COMPRESSION N     N Examples as a TFRecord file
///   pipelines read PATH COMPRESSION        the Examples of a file, a line each
///   pipelines npz FROM TO                  the arrays of an .npz file, saved as another
///   pipelines run                          a pipeline for each line of the standard input, as in
///                                          "range 14 | batch 8 drop | auto DATA 2 0"; its
///                                          elements, or after "distribute" the steps of all
///                                          workers
#include <fmt/format.h>

#include <atomic>
#include <barrier>
#include <exception>
#include <iostream>
#include <sstream>
#include <thread>

#include "cohort/data/auto_shard.h"
#include "cohort/data/batch_sizes.h"
#include "cohort/data/example.h"
#include "cohort/data/input_pipeline.h"
#include "cohort/data/npz.h"
#include "cohort/data/text.h"
#include "cohort/data/tfrecord.h"

namespace cohort::data {
namespace {

Compression compression_of(const std::string& name) {
  if (name == "NONE") return Compression::kNone;
  return name == "GZIP" ? Compression::kGzip : Compression::kZlib;
}

void write(const std::string& path, const std::string& compression, int64_t count) {
  TFRecordWriter writer(path, {.compression = compression_of(compression)});
  for (int64_t i = 0; i < count; ++i) {
    const Tensor bytes = Tensor::full(DType::kU8, Shape{i * i % 977}, static_cast<double>(i % 256));
    writer.write(serialize_example({{"label", Tensor::scalar(i * i * i * (i % 2 ? -1 : 1))},
                                    {"x", Tensor::from<float>({0.1f * static_cast<float>(i),
                                                               -1.0f / static_cast<float>(i + 1)})},
                                    {"image", bytes}}));
  }
  writer.close();
}

void read(const std::string& path, const std::string& compression) {
  const Dataset records =
      Dataset::from_tfrecord({path}, {.compression = compression_of(compression)});
  for (Iterator i =
           records
               .parse_example({{.name = "label", .dtype = DType::kI64, .shape = Shape{}},
                               {.name = "x", .dtype = DType::kF32, .shape = Shape{2}},
                               {.name = "image", .dtype = DType::kU8, .shape = Shape{Dim("L")}}})
               .iterate();
       const Element* example = i.next();) {
    const auto x = (*example)[1].values<float>();
    fmt::print("{} {:.9g} {:.9g} ", (*example)[0].values<int64_t>()[0], x[0], x[1]);
    for (const uint8_t byte : (*example)[2].values<uint8_t>()) fmt::print("{:02x}", byte);
    fmt::print("\n");
  }
}

Element number_of(const Element& line) {
  return {Tensor::scalar<int64_t>(std::stoll(text_of(line[0])))};
}

Element twice(const Element& element) {
  Tensor doubled = element[0].clone();
  for (int64_t i = 0; i < doubled.num_elements(); ++i) doubled.data<int64_t>()[i] *= 2;
  return {doubled};
}

bool has_even_sum(const Element& element) {
  int64_t sum = 0;
  for (const int64_t value : element[0].values<int64_t>()) sum += value;
  return sum % 2 == 0;
}

AutoShardPolicy policy_of(const std::string& name) {
  if (name == "FILE") return AutoShardPolicy::kFile;
  if (name == "DATA") return AutoShardPolicy::kData;
  return name == "OFF" ? AutoShardPolicy::kOff : AutoShardPolicy::kAuto;
}

std::vector<std::string> words_of(const std::string& text, char separator) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, separator);)
    if (!word.empty()) words.push_back(word);
  return words;
}

Dataset add_step(const Dataset& dataset, const std::vector<std::string>& words) {
  const std::string& step = words[0];
  const auto number = [&](size_t i) { return std::stoll(words.at(i)); };
  if (step == "range") return Dataset::range(number(1));
  if (step == "lines") return Dataset::from_text_lines(words_of(words[1], ',')).map(number_of);
  if (step == "batch") return dataset.batch(number(1), {.drop_remainder = words.size() > 2});
  if (step == "rebatch") {
    std::vector<int64_t> sizes;
    for (const std::string& size : words_of(words[1], ',')) sizes.push_back(std::stoll(size));
    return dataset.rebatch(sizes, {.drop_remainder = words.size() > 2});
  }
  if (step == "sizes")
    return dataset.rebatch(batch_sizes_for_worker(number(1), number(2), number(3), number(4)));
  if (step == "legacy") return dataset.legacy_rebatch(number(1));
  if (step == "unbatch") return dataset.unbatch();
  if (step == "take") return dataset.take(number(1));
  if (step == "skip") return dataset.skip(number(1));
  if (step == "repeat") return dataset.repeat(number(1));
  if (step == "cache") return dataset.cache();
  if (step == "prefetch") return dataset.prefetch(number(1));
  if (step == "double") return dataset.map(twice, {.element_spec = dataset.element_spec()});
  if (step == "even") return dataset.filter(has_even_sum);
  if (step == "concat")
    return dataset.concatenate(
        Dataset::range(number(1)).batch(number(2), {.drop_remainder = words.size() > 3}));
  if (step == "shard") return dataset.shard(number(1), number(2));
  if (step == "spread")  // element e as e % k copies of it
    return dataset.interleave(
        [k = number(1)](const Element& e) {
          return Dataset::from_tensors(e).repeat(e[0].item<int64_t>() % k);
        },
        {.cycle_length = static_cast<int>(number(2)), .block_length = static_cast<int>(number(3))});
  if (step == "auto") return auto_shard(dataset, number(2), number(3), policy_of(words[1]));
  throw InvalidArgument("pipelines: got step {}; want one of those in this file", step);
}

std::string text_of_values(const Element& element) {
  return fmt::format("[{}]", fmt::join(element[0].values<int64_t>(), ","));
}

/// Whether any of several workers says so, each a thread.
class Vote {
 public:
  explicit Vote(int64_t num_workers) : barrier_(num_workers, Count{this}) {}
  bool any(bool mine) {
    if (mine) said_ = true;
    barrier_.arrive_and_wait();
    return result_;
  }
  void leave() { barrier_.arrive_and_drop(); }

 private:
  struct Count {
    Vote* vote;
    void operator()() noexcept { vote->result_ = vote->said_.exchange(false); }
  };
  std::atomic<bool> said_ = false;
  bool result_ = false;
  std::barrier<Count> barrier_;
};

/// The steps of worker `index`: its replicas' elements, a text for each step.
std::vector<std::string> steps_of(const Dataset& dataset, const InputWorker& worker, Vote& vote) {
  const InputPipeline input = make_input_pipeline(dataset, worker);
  StepOptions options{.replicas_per_worker = worker.replicas_per_worker,
                      .num_steps = input.num_steps};
  if (worker.num_workers > 1) options.any_worker = [&](bool mine) { return vote.any(mine); };
  StepIterator iterator(input.dataset, options);
  std::vector<std::string> steps;
  while (const std::vector<Element>* elements = iterator.next()) {
    steps.emplace_back();
    for (const Element& element : *elements) steps.back() += text_of_values(element);
  }
  return steps;
}

/// Step by step what each replica of each worker gets. Throws a worker's error.
std::string distribute(const Dataset& dataset, const std::vector<std::string>& words) {
  const Dataset shared = dataset.with_options({.auto_shard_policy = policy_of(words.at(1))});
  const int64_t num_workers = std::stoll(words.at(2)), replicas = std::stoll(words.at(3));
  Vote vote(num_workers);
  std::vector<std::vector<std::string>> steps(static_cast<size_t>(num_workers));
  std::vector<std::exception_ptr> errors(steps.size());
  std::vector<std::thread> threads;
  for (size_t w = 0; w < steps.size(); ++w)
    threads.emplace_back([&, w] {
      try {
        steps[w] = steps_of(shared, {num_workers, static_cast<int64_t>(w), replicas}, vote);
      } catch (...) {
        errors[w] = std::current_exception();
      }
      vote.leave();
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors)
    if (error) std::rethrow_exception(error);
  std::string text;
  for (size_t s = 0; s < steps[0].size(); ++s) {
    for (size_t w = 0; w < steps.size(); ++w) text += (w == 0 ? "" : " ") + steps[w].at(s);
    text += ";";
  }
  return text;
}

std::string run(const std::string& line) {
  try {
    Dataset dataset = Dataset::range(0);
    for (const std::string& step : words_of(line, '|')) {
      const std::vector<std::string> words = words_of(step, ' ');
      if (words[0] == "distribute") return distribute(dataset, words);
      dataset = add_step(dataset, words);
    }
    std::string text;
    for (Iterator i = dataset.iterate(); const Element* element = i.next();)
      text += text_of_values(*element);
    return text;
  } catch (const Error& error) {
    return fmt::format("error {}", code_name(error.code()));
  }
}

int main(const std::vector<std::string>& words) {
  if (words.size() == 4 && words[0] == "write") {
    write(words[1], words[2], std::stoll(words[3]));
  } else if (words.size() == 3 && words[0] == "read") {
    read(words[1], words[2]);
  } else if (words.size() == 3 && words[0] == "npz") {
    save_npz(words[2], load_npz(words[1]));
  } else if (words.size() == 1 && words[0] == "run") {
    for (std::string line; std::getline(std::cin, line);) fmt::print("{}\n", run(line));
  } else {
    fmt::print(
        stderr,
        "usage: pipelines write PATH COMPRESSION N | read PATH COMPRESSION | npz FROM TO | run\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace cohort::data

int main(int argc, char** argv) {
  try {
    return cohort::data::main({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "pipelines: {}\n", error.what());
    return 1;
  }
}
