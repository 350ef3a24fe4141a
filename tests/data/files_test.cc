#include "tests/data/support.h"
#include "tests/data/temporary_files.h"

namespace cohort::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Texts = std::vector<std::string>;

TEST(TextLinesTest, LinesLoseTheirEnds) {
  const TemporaryFiles files;
  const std::string a = files.write("a", "one\ntwo\r\n\nlast"), b = files.write("b", ""),
                    c = files.write("c", "x\n");
  EXPECT_EQ(texts_of(Dataset::from_text_lines({a, b, c})), (Texts{"one", "two", "", "last", "x"}));
}

TEST(TextLinesTest, LinesEndInThreeWays) {
  const TemporaryFiles files;
  const auto lines = [&](const std::string& bytes) {
    return texts_of(Dataset::from_text_lines({files.write("a", bytes)}));
  };
  EXPECT_EQ(lines("a\rb\r\nc\nd"), (Texts{"a", "b", "c", "d"}));
  EXPECT_EQ(lines("a\r\r\nb\n\rc\r"), (Texts{"a", "", "b", "", "c"}));
  // The reader's buffer holds 256 KiB: "\r" is its last byte, "\n" the first of the next.
  const std::string first((256 << 10) - 1, 'x');
  EXPECT_EQ(lines(first + "\r\nb\r\n"), (Texts{first, "b"}));
  std::string many;
  for (int i = 0; i < 200000; ++i) many += "xy\r";
  EXPECT_EQ(lines(many).size(), 200000u);
}

TEST(TextLinesTest, TextIsUtf8AndAByteOrderMarkIsNoPartOfIt) {
  const TemporaryFiles files;
  const std::string marked = files.write("a",
                                         "\xEF\xBB\xBF"
                                         "one\ntwo\n");
  EXPECT_EQ(texts_of(Dataset::from_text_lines({marked, marked})),
            (Texts{"one", "two", "one", "two"}));
  EXPECT_EQ(texts_of(Dataset::from_text_lines({files.write("b", "\xEF\xBB\xBF")})), Texts{});
  EXPECT_EQ(texts_of(Dataset::from_text_lines({files.write("c", "\xEF\xBB")})), Texts{"\xEF\xBB"});
  const auto refused = [&](const std::string& bytes) {
    return error_of([&] { texts_of(Dataset::from_text_lines({files.write("d", bytes)})); });
  };
  EXPECT_THAT(refused(std::string("\xFF\xFE"
                                  "a\0",
                                  4)),
              HasSubstr("UTF-16"));
  EXPECT_THAT(refused("\x1F\x8B\x08"), HasSubstr("Compression::kGzip"));
}

TEST(TextLinesTest, LinesMayBeLongerThanTheBuffer) {
  const TemporaryFiles files;
  const std::string longer(600000, 'a');
  const Dataset dataset = Dataset::from_text_lines({files.write("a", longer + "\n" + longer)});
  EXPECT_EQ(texts_of(dataset), (Texts{longer, longer}));
  EXPECT_EQ(texts_of(dataset.skip(1)), Texts{longer});
}

TEST(ListFilesTest, NamesComeInOrderOrShuffled) {
  const TemporaryFiles files;
  Texts sorted;
  for (const char* name : {"b.txt", "a.txt", "c.txt", "d.csv"}) files.write(name, "");
  for (const char* name : {"a.txt", "b.txt", "c.txt"}) sorted.push_back(files.path(name));
  const Dataset in_order = Dataset::list_files({files.path("*.txt")}, {.shuffle = false});
  EXPECT_EQ(texts_of(in_order), sorted);
  EXPECT_EQ(in_order.cardinality(), 3);
  const Dataset shuffled = Dataset::list_files({files.path("?.txt")});
  EXPECT_THAT(texts_of(shuffled), ::testing::UnorderedElementsAreArray(sorted));
  EXPECT_EQ(texts_of(shuffled), texts_of(shuffled));
  EXPECT_EQ(code_of([&] { Dataset::list_files({files.path("*.png")}); }), Code::kNotFound);
}

/// Element e is 10 e, 10 e + 1, … (lengths[e] of them).
DatasetFunction numbers_of_length(Numbers lengths) {
  return [lengths](const Element& element) {
    const int64_t e = element[0].item<int64_t>();
    return Dataset::range(10 * e, 10 * e + lengths[static_cast<size_t>(e)]);
  };
}

// Recorded from tf.data.Dataset.interleave, TensorFlow 2.21.
TEST(InterleaveTest, OrderIsTensorFlows) {
  const DatasetFunction function = numbers_of_length({3, 1, 0, 4, 2});
  for (const int threads : {1, 3}) {
    const auto interleaved = [&](int cycle, int block) {
      return values_of(Dataset::range(5).interleave(
          function, {.cycle_length = cycle, .block_length = block, .num_parallel_calls = threads}));
    };
    EXPECT_EQ(interleaved(2, 1), (Numbers{0, 10, 1, 2, 30, 40, 31, 41, 32, 33}));
    EXPECT_EQ(interleaved(3, 2), (Numbers{0, 1, 10, 2, 30, 31, 40, 41, 32, 33}));
    EXPECT_EQ(interleaved(1, 1), (Numbers{0, 1, 2, 10, 30, 31, 32, 33, 40, 41}));
  }
}

TEST(InterleaveTest, FlatMapIsOneAfterTheOther) {
  EXPECT_EQ(values_of(Dataset::range(3).flat_map(numbers_of_length({2, 0, 1}))),
            (Numbers{0, 1, 20}));
}

TEST(InterleaveTest, PositionsContinueExactly) {
  for (const int threads : {1, 2}) {
    const Dataset dataset = Dataset::range(5).interleave(
        numbers_of_length({3, 1, 0, 4, 2}),
        {.cycle_length = 2, .block_length = 2, .num_parallel_calls = threads});
    const Batches all = batches_of(dataset);
    Iterator iterator = dataset.iterate();
    for (size_t k = 0; k <= all.size(); ++k) {
      Iterator resumed = dataset.resume(iterator.position());
      EXPECT_EQ(rest_of(resumed), Batches(all.begin() + static_cast<int64_t>(k), all.end()));
      if (k < all.size()) iterator.next();
    }
  }
}

TEST(InterleaveTest, FilesAreReadByTurns) {
  const TemporaryFiles files;
  files.write_records("0", {"1", "2", "3"});
  files.write_records("1", {"4", "5", "6"});
  files.write_records("2", {"7", "8", "9"});
  const auto open = [](const Element& name) { return Dataset::from_tfrecord({text_of(name[0])}); };
  const Dataset dataset = Dataset::list_files({files.path("*")}, {.shuffle = false})
                              .interleave(open, {.cycle_length = 3, .num_parallel_calls = 2});
  EXPECT_EQ(texts_of(dataset), (Texts{"1", "4", "7", "2", "5", "8", "3", "6", "9"}));
  EXPECT_EQ(dataset.element_spec(), text_spec());
}

TEST(InterleaveTest, ErrorsOfBackgroundThreadsReachTheReader) {
  const TemporaryFiles files;
  const Texts names = files.write_numbered_records(3, 2);
  const std::string whole = TemporaryFiles::read(names[1]);
  files.write("tf_record.01.tfrecord", whole.substr(0, whole.size() - 1));
  const auto open = [](const Element& name) { return Dataset::from_tfrecord({text_of(name[0])}); };
  const Dataset dataset = Dataset::list_files({files.path("*")}, {.shuffle = false})
                              .interleave(open, {.cycle_length = 3, .num_parallel_calls = 3});
  Iterator iterator = dataset.prefetch(1).iterate();
  for (int i = 0; i < 4; ++i) ASSERT_NE(iterator.next(), nullptr) << i;
  EXPECT_THAT(error_of([&] { iterator.next(); }),
              AllOf(HasSubstr("tf_record.01.tfrecord: record 1 at byte"), HasSubstr("want")));
}

TEST(InterleaveTest, FunctionsThatThrowAreNamed) {
  const Dataset dataset = Dataset::range(3).interleave([](const Element& element) -> Dataset {
    if (element[0].item<int64_t>() == 2) throw std::runtime_error("no such thing");
    return Dataset::range(1);
  });
  EXPECT_EQ(error_of([&] { values_of(dataset); }), "interleave: element 2: no such thing");
}

TEST(InterleaveTest, ArgumentsAreChecked) {
  const auto with = [](InterleaveOptions options) {
    return code_of([&] { Dataset::range(3).interleave(numbers_of_length({}), options); });
  };
  EXPECT_EQ(with({.cycle_length = 0}), Code::kInvalidArgument);
  EXPECT_EQ(with({.block_length = 0}), Code::kInvalidArgument);
  EXPECT_EQ(with({.num_parallel_calls = 0}), Code::kInvalidArgument);
  EXPECT_EQ(code_of([] { Dataset::range(3).interleave({}); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace cohort::data
