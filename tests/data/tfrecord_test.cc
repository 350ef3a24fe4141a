#include "cohort/data/tfrecord.h"

#include "tests/data/support.h"
#include "tests/data/temporary_files.h"

namespace cohort::data {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Texts = std::vector<std::string>;

constexpr Compression kAll[] = {Compression::kNone, Compression::kGzip, Compression::kZlib};

/// Empty, small, and larger than every buffer on the way.
Texts some_records() {
  std::string large(700000, 'x');
  for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * i >> 3);
  return {"", "a", std::string(3, '\0'), large, "the end"};
}

class TFRecordTest : public ::testing::Test {
 protected:
  TemporaryFiles files_;
};

TEST_F(TFRecordTest, WhatIsWrittenIsReadInEveryCompression) {
  for (const Compression compression : kAll) {
    const std::string path = files_.write_records("a.tfrecord", some_records(), compression);
    const Dataset dataset = Dataset::from_tfrecord({path}, {.compression = compression});
    EXPECT_EQ(texts_of(dataset), some_records());
    EXPECT_EQ(texts_of(dataset.prefetch(2)), some_records());
  }
}

TEST_F(TFRecordTest, BytesAreTheFormats) {
  const std::string path = files_.write_records("a.tfrecord", {"hello"});
  // tensorflow.io.TFRecordWriter, version 2.21.
  EXPECT_EQ(TemporaryFiles::read(path), std::string("\x05\0\0\0\0\0\0\0\xea\xb2\x04\x3e"
                                                    "hello\xbb\x1f\x1c\x19",
                                                    21));
}

TEST_F(TFRecordTest, FilesFollowEachOtherAndAreOpenedInTheirTurn) {
  const std::string a = files_.write_records("a", {"1", "2"}), b = files_.write_records("b", {}),
                    c = files_.write_records("c", {"3"});
  const Dataset dataset = Dataset::from_tfrecord({a, b, c});
  EXPECT_EQ(texts_of(dataset), (Texts{"1", "2", "3"}));
  EXPECT_EQ(dataset.cardinality(), kUnknownCardinality);
  EXPECT_EQ(dataset.element_spec(), (ElementSpec{{DType::kU8, Shape{Dim("L")}}}));

  Iterator iterator = Dataset::from_tfrecord({a, files_.path("missing")}).iterate();
  iterator.next();
  EXPECT_EQ(text_of((*iterator.next())[0]), "2");
  EXPECT_THAT(error_of([&] { iterator.next(); }),
              AllOf(HasSubstr("from_tfrecord"), HasSubstr("missing")));
}

TEST_F(TFRecordTest, MissingFilesAreNotFound) {
  EXPECT_EQ(code_of([&] { texts_of(Dataset::from_tfrecord({files_.path("no")})); }),
            Code::kNotFound);
  EXPECT_EQ(code_of([&] { Dataset::from_tfrecord({}); }), Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { TFRecordWriter(files_.path("no/such/folder")); }), Code::kNotFound);
}

TEST_F(TFRecordTest, DamagedBytesNameFileRecordAndByte) {
  const std::string whole = TemporaryFiles::read(files_.write_records("a", {"first", "second"}));
  const auto read_damaged = [&](size_t byte) {
    std::string bytes = whole;
    bytes[byte] ^= 0x10;
    const Dataset dataset = Dataset::from_tfrecord({files_.write("damaged", bytes)});
    EXPECT_EQ(code_of([&] { texts_of(dataset); }), Code::kDataLoss);
    return error_of([&] { texts_of(dataset); });
  };
  constexpr size_t kSecond = 12 + 5 + 4;
  EXPECT_THAT(read_damaged(0), HasSubstr("damaged: record 0 at byte 0: got 0x"));
  EXPECT_THAT(read_damaged(9), HasSubstr("as checksum of its length; want 0x"));
  EXPECT_THAT(read_damaged(13), HasSubstr("as checksum of its bytes; want 0x"));
  EXPECT_THAT(read_damaged(kSecond + 13), HasSubstr("record 1 at byte 21: got 0x"));
}

TEST_F(TFRecordTest, CutOffFilesAreDataLossWhereverTheyEnd) {
  for (const Compression compression : kAll) {
    const std::string whole =
        TemporaryFiles::read(files_.write_records("a", {"first", "second"}, compression));
    for (size_t size = 1; size < whole.size(); ++size) {
      if (compression == Compression::kNone && size == 12 + 5 + 4) continue;  // between two
      const Dataset dataset = Dataset::from_tfrecord({files_.write("cut", whole.substr(0, size))},
                                                     {.compression = compression});
      EXPECT_EQ(code_of([&] { texts_of(dataset); }), Code::kDataLoss) << size;
      EXPECT_THAT(error_of([&] { texts_of(dataset); }), HasSubstr("cut")) << size;
      if (compression != Compression::kNone) continue;
      EXPECT_EQ(code_of([&] { texts_of(dataset.skip(2)); }), Code::kDataLoss) << size;
    }
  }
}

TEST_F(TFRecordTest, LengthsBeyondTheFileAllocateNothing) {
  // A length of 2^62 with a right checksum.
  const std::string header("\0\0\0\0\0\0\0\x40\x7f\x85\xf0\0", 12);
  const Dataset dataset = Dataset::from_tfrecord({files_.write("a", header + "abcdefgh")});
  EXPECT_THAT(error_of([&] { texts_of(dataset); }),
              AllOf(HasSubstr("record 0 at byte 0"), HasSubstr("want")));
}

TEST_F(TFRecordTest, GzipFilesMayHaveSeveralMembers) {
  const std::string a = TemporaryFiles::read(files_.write_records("a", {"1"}, Compression::kGzip)),
                    b = TemporaryFiles::read(files_.write_records("b", {"2"}, Compression::kGzip));
  const Dataset both =
      Dataset::from_tfrecord({files_.write("ab", a + b)}, {.compression = Compression::kGzip});
  EXPECT_EQ(texts_of(both), (Texts{"1", "2"}));
}

TEST_F(TFRecordTest, ZeroBytesBehindAStreamArePadding) {
  // tar and tapes fill up blocks of 512 bytes; gzip and Python pass over them, too.
  for (const Compression compression : {Compression::kGzip, Compression::kZlib}) {
    const auto read = [&](const std::string& bytes) {
      return texts_of(
          Dataset::from_tfrecord({files_.write("padded", bytes)}, {.compression = compression}));
    };
    const std::string whole = TemporaryFiles::read(files_.write_records("a", {"1"}, compression)),
                      zeros(512, '\0'), many(200000, '\0');
    EXPECT_EQ(read(whole + zeros), Texts{"1"});
    EXPECT_EQ(read(whole + many), Texts{"1"});
    EXPECT_EQ(code_of([&] { read(whole + zeros + "x"); }), Code::kDataLoss);
    EXPECT_EQ(code_of([&] { read(zeros + whole); }), Code::kDataLoss);
    if (compression == Compression::kGzip)
      EXPECT_EQ(read(whole + zeros + whole + zeros), (Texts{"1", "1"}));
    else
      EXPECT_EQ(code_of([&] { read(whole + zeros + whole); }), Code::kDataLoss);
  }
  // In a plain file they are a damaged record.
  const std::string plain = TemporaryFiles::read(files_.write_records("a", {"1"}));
  EXPECT_EQ(code_of([&] {
              texts_of(Dataset::from_tfrecord({files_.write("b", plain + std::string(512, '\0'))}));
            }),
            Code::kDataLoss);
}

TEST_F(TFRecordTest, EmptyMembersHaveNoRecords) {
  const auto gzip = [&](const Texts& records) {
    return TemporaryFiles::read(files_.write_records("a", records, Compression::kGzip));
  };
  const auto read = [&](const std::string& bytes) {
    return texts_of(
        Dataset::from_tfrecord({files_.write("b", bytes)}, {.compression = Compression::kGzip}));
  };
  // The last one is how bgzip ends its files.
  EXPECT_EQ(read(gzip({}) + gzip({"1"}) + gzip({}) + gzip({"2"}) + gzip({})), (Texts{"1", "2"}));
  EXPECT_EQ(read(gzip({})), Texts{});
  EXPECT_EQ(read(""), Texts{});
}

TEST_F(TFRecordTest, TheWrongCompressionIsDataLoss) {
  const std::string plain = files_.write_records("plain", {"record"});
  const std::string gzip = files_.write_records("gzip", {"record"}, Compression::kGzip);
  for (const Compression compression : {Compression::kGzip, Compression::kZlib})
    EXPECT_EQ(
        code_of([&] { texts_of(Dataset::from_tfrecord({plain}, {.compression = compression})); }),
        Code::kDataLoss);
  EXPECT_EQ(code_of([&] { texts_of(Dataset::from_tfrecord({gzip})); }), Code::kDataLoss);
}

TEST_F(TFRecordTest, PositionsContinueExactly) {
  const std::vector<std::string> names = files_.write_numbered_records(4, 5);
  const Dataset records = Dataset::from_tfrecord(names);
  for (const Dataset& dataset :
       {records, records.prefetch(3), records.shuffle(7), records.repeat(2).shard(3, 1)}) {
    const Texts all = texts_of(dataset);
    Iterator iterator = dataset.iterate();
    for (size_t k = 0; k <= all.size(); ++k) {
      EXPECT_EQ(texts_of(dataset.resume(iterator.position())),
                Texts(all.begin() + static_cast<int64_t>(k), all.end()));
      if (k < all.size()) iterator.next();
    }
  }
  EXPECT_NE(records.to_string(),
            Dataset::from_tfrecord({names[0], names[1], names[3]}).to_string());
}

/// More than one buffer of small records, with larger ones among them.
TEST_F(TFRecordTest, ManyRecordsArePassedOverExactly) {
  Texts all;
  for (size_t i = 0; i < 9000; ++i)
    all.push_back(std::to_string(i) + std::string(i % 997 == 500 ? 300000 : i % 61, 'x'));
  for (const Compression compression : kAll) {
    const Dataset dataset = Dataset::from_tfrecord({files_.write_records("many", all, compression)},
                                                   {.compression = compression});
    Position position = dataset.iterate().position();
    for (const int64_t k : {1, 499, 500, 501, 4000, 7777, 8999, 9000}) {
      position.element = k;
      Iterator resumed = dataset.resume(position);
      const Element* next = resumed.next();
      ASSERT_EQ(next != nullptr, k < 9000) << k;
      if (k < 9000) {
        EXPECT_EQ(text_of((*next)[0]), all[static_cast<size_t>(k)]) << k;
      }
    }
    position.element = 9001;
    EXPECT_THAT(error_of([&] { dataset.resume(position); }), HasSubstr("that has 9000"));
  }
}

TEST_F(TFRecordTest, ADamagedLengthIsNamedWhereItIsPassedOver) {
  std::string bytes = TemporaryFiles::read(files_.write_records("a", {"first", "second", "3"}));
  bytes[12 + 5 + 4] ^= 0x10;
  const Dataset dataset = Dataset::from_tfrecord({files_.write("damaged", bytes)});
  Position position = dataset.iterate().position();
  position.element = 2;
  EXPECT_THAT(error_of([&] { dataset.resume(position); }),
              AllOf(HasSubstr("damaged: record 1 at byte 21: got 0x"),
                    HasSubstr("as checksum of its length")));
}

TEST_F(TFRecordTest, WritersReportUseAfterClose) {
  TFRecordWriter writer(files_.path("a"));
  writer.write("1");
  writer.flush();
  EXPECT_EQ(texts_of(Dataset::from_tfrecord({files_.path("a")})), Texts{"1"});
  writer.close();
  writer.close();
  EXPECT_EQ(code_of([&] { writer.write("2"); }), Code::kFailedPrecondition);
}

}  // namespace
}  // namespace cohort::data
