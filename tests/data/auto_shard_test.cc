#include "cohort/data/auto_shard.h"

#include <set>

#include "cohort/data/internal/node.h"
#include "tests/data/support.h"
#include "tests/data/temporary_files.h"

/// Cases of TensorFlow's auto_shard_dataset_test.py: 10 files with 10 records each, "Record r of
/// file f".
namespace cohort::data {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::string>;
using enum AutoShardPolicy;

class AutoShardTest : public ::testing::Test {
 protected:
  Dataset records() const { return Dataset::from_tfrecord(names_); }
  Dataset listed(bool shuffle = false) const {
    return Dataset::list_files({files_.path("*")}, {.shuffle = shuffle});
  }
  static Dataset open(const Element& name) { return Dataset::from_tfrecord({text_of(name[0])}); }
  static Texts texts_of_files(const std::vector<int>& files, int first = 0, int last = 10) {
    Texts texts;
    for (const int f : files)
      for (int r = first; r < last; ++r) texts.push_back(TemporaryFiles::numbered(f, r));
    return texts;
  }
  /// The rows of batches of texts.
  static Texts rows_of(const Dataset& dataset) { return texts_of(dataset.unbatch()); }

  const TemporaryFiles files_;
  const Texts names_ = files_.write_numbered_records(10, 10);
};

TEST_F(AutoShardTest, FlatMapOverListedFiles) {  // ASH-01
  const Dataset dataset = listed().flat_map(open).batch(5);
  EXPECT_EQ(rows_of(auto_shard(dataset, 5, 3)), texts_of_files({3, 8}));
  EXPECT_EQ(plan_sharding(dataset, 5).policy, kFile);
}

TEST_F(AutoShardTest, FilesOfAReader) {  // ASH-02
  EXPECT_EQ(texts_of(auto_shard(records(), 5, 0)), texts_of_files({0, 5}));
}

TEST_F(AutoShardTest, ZipAndConcatenateAreSharedOnBothSides) {  // ASH-03
  const Dataset zipped = auto_shard(Dataset::zip({records(), records()}), 5, 0);
  Iterator iterator = zipped.iterate();
  for (const std::string& text : texts_of_files({0, 5})) {
    const Element& element = *iterator.next();
    EXPECT_EQ(text_of(element[0]), text);
    EXPECT_EQ(text_of(element[1]), text);
  }
  EXPECT_EQ(iterator.next(), nullptr);
  EXPECT_EQ(texts_of(auto_shard(records().concatenate(records()), 5, 0)),
            texts_of_files({0, 5, 0, 5}));
}

TEST_F(AutoShardTest, Interleave) {  // ASH-04
  const TemporaryFiles files;
  files.write_records("f0", {"1", "2", "3"});
  files.write_records("f1", {"4", "5", "6"});
  files.write_records("f2", {"7", "8", "9"});
  const Dataset dataset = Dataset::list_files({files.path("*")}, {.shuffle = false})
                              .interleave(open, {.cycle_length = 3, .num_parallel_calls = 2});
  EXPECT_EQ(texts_of(auto_shard(dataset, 2, 0, kFile)), (Texts{"1", "7", "2", "8", "3", "9"}));
}

TEST_F(AutoShardTest, ByDataBeforeAPrefetchAtTheEnd) {  // ASH-05
  const Dataset dataset = Dataset::range(4).prefetch();
  for (const AutoShardPolicy policy : {kAuto, kData}) {
    const Dataset shard = auto_shard(dataset, 2, 0, policy);
    EXPECT_EQ(values_of(shard), (Numbers{0, 2}));
    EXPECT_EQ(shard.to_string(), "range(0, 4, 1).shard(2, 0)");
  }
}

TEST_F(AutoShardTest, ByDataOverARawReader) {  // ASH-06
  Texts expected;
  for (int f = 0; f < 10; ++f)
    for (const int r : {0, 5}) expected.push_back(TemporaryFiles::numbered(f, r));
  EXPECT_EQ(texts_of(auto_shard(records(), 5, 0, kData)), expected);
}

TEST_F(AutoShardTest, OffIsEverything) {  // ASH-07
  EXPECT_EQ(texts_of(auto_shard(records(), 5, 0, kOff)).size(), 100u);
}

TEST_F(AutoShardTest, ByFileWithoutFilesIsNotFound) {  // ASH-08
  EXPECT_EQ(code_of([] { auto_shard(Dataset::range(1024), 2, 0, kFile); }), Code::kNotFound);
  EXPECT_THAT(error_of([&] {
                auto_shard(Dataset::zip({records(), Dataset::range(9)}), 2, 0, kFile);
              }),
              HasSubstr("range(0, 9, 1) reads no list of files"));
}

TEST_F(AutoShardTest, ByFileWithMoreWorkersThanFilesLeavesSomeEmpty) {  // ASH-09
  EXPECT_EQ(texts_of(auto_shard(records(), 500, 499, kFile)), Texts{});
  const Dataset mapped = listed().flat_map(open).batch(5);
  const Dataset empty = auto_shard(mapped, 500, 499, kFile);
  EXPECT_EQ(empty.element_spec(), mapped.element_spec());
  EXPECT_EQ(rows_of(empty), Texts{});
}

TEST_F(AutoShardTest, ByDataWithLessThanOneElementEachIsAnError) {  // ASH-10
  for (const int64_t worker : {0, 4, 5, 9}) {
    EXPECT_EQ(code_of([&] { auto_shard(Dataset::range(5), 10, worker, kData); }),
              Code::kInvalidArgument);
    const Dataset unknown = Dataset::range(5).filter([](const Element&) { return true; });
    const Dataset shard = auto_shard(unknown, 10, worker, kData);
    EXPECT_EQ(error_of([&] { values_of(shard); }),
              "shard: got 5 elements for 10 shards; want at least one for each");
    EXPECT_EQ(values_of(auto_shard(Dataset::range(0), 10, worker, kData)), Numbers{});
    EXPECT_EQ(values_of(auto_shard(unknown.take(0), 10, worker, kData)), Numbers{});
  }
  const Dataset whole = Dataset::range(25).filter([](const Element&) { return true; });
  EXPECT_EQ(values_of(auto_shard(whole, 10, 3, kData)), (Numbers{3, 13, 23}));
}

TEST_F(AutoShardTest, ByDataTakesEveryWthElement) {  // ASH-11
  const Numbers shard = values_of(auto_shard(Dataset::range(1024), 2, 0));
  ASSERT_EQ(shard.size(), 512u);
  for (size_t i = 0; i < shard.size(); ++i) EXPECT_EQ(shard[i], static_cast<int64_t>(2 * i));
}

/// A step that somebody else wrote: its elements are its input's.
class ForeignNode : public Node {
 public:
  explicit ForeignNode(NodePtr input) : input_(std::move(input)) {}
  FlowPtr<Element> elements(const Pass& pass) const override { return input_->elements(pass); }
  int64_t cardinality() const override { return input_->cardinality(); }
  ElementSpec spec() const override { return input_->spec(); }
  std::string describe() const override { return input_->describe() + ".foreign"; }
  std::vector<NodePtr> inputs() const override { return {input_}; }

 private:
  NodePtr input_;
};

TEST_F(AutoShardTest, UnknownStepsAreSharedByDataBehindThem) {  // ASH-12
  const Dataset dataset(std::make_shared<ForeignNode>(records().node()));
  const ShardingPlan plan = plan_sharding(dataset, 5);
  EXPECT_EQ(plan.policy, kData);
  EXPECT_THAT(plan.sentence, HasSubstr(".foreign has a step that cannot be moved"));
  const Dataset shard = auto_shard(dataset, 5, 0);
  EXPECT_THAT(shard.to_string(), HasSubstr(".foreign.shard(5, 0)"));
  EXPECT_EQ(texts_of(shard).size(), 20u);
}

TEST_F(AutoShardTest, WorkersOutOfRangeAreRefused) {  // ASH-13
  for (const int64_t worker : {-1, 2})
    EXPECT_EQ(code_of([&] { auto_shard(Dataset::range(1024), 2, worker); }),
              Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { auto_shard(Dataset::range(9), 0, 0); }), Code::kInvalidArgument);
}

TEST_F(AutoShardTest, SharesAreDisjointAndWhole) {  // ASH-14
  for (const bool shuffle : {false, true})
    for (const AutoShardPolicy policy : {kFile, kData, kAuto}) {
      const Dataset dataset = listed(shuffle).flat_map(open).batch(5);
      std::multiset<std::string> all;
      for (int64_t worker = 0; worker < 5; ++worker)
        for (const std::string& text : rows_of(auto_shard(dataset, 5, worker, policy)))
          all.insert(text);
      EXPECT_EQ(all.size(), 100u);
      EXPECT_EQ(std::set<std::string>(all.begin(), all.end()).size(), 100u);
    }
}

TEST_F(AutoShardTest, HintsAreReplaced) {  // ASH-15
  const Dataset hinted = Dataset::range(100).shard(kShardHint, kShardHint);
  EXPECT_EQ(values_of(auto_shard(hinted, 10, 0, kHint)),
            (Numbers{0, 10, 20, 30, 40, 50, 60, 70, 80, 90}));
  EXPECT_EQ(values_of(auto_shard(Dataset::range(100), 10, 0, kHint)), iota(0, 100));
  EXPECT_EQ(values_of(auto_shard(hinted, 1, 0, kHint)), iota(0, 100));
  EXPECT_EQ(batches_of(auto_shard(hinted.batch(4), 10, 3, kHint)),
            (Batches{{3, 13, 23, 33}, {43, 53, 63, 73}, {83, 93}}));
  EXPECT_EQ(code_of([&] { values_of(hinted); }), Code::kFailedPrecondition);
}

TEST_F(AutoShardTest, AFileForEachWorker) {  // ASH-16
  const TemporaryFiles files;
  const Texts names = files.write_numbered_records(2, 5);
  EXPECT_EQ(texts_of(auto_shard(Dataset::from_tfrecord(names), 2, 0)), texts_of_files({0}, 0, 5));
}

TEST_F(AutoShardTest, BehindLegacyRebatch) {  // ASH-17
  const Texts five(names_.begin(), names_.begin() + 5);
  const Dataset dataset = Dataset::from_tfrecord(five).batch(5).legacy_rebatch(5);
  const Dataset shard = auto_shard(dataset, 5, 3, kFile);
  EXPECT_EQ(shard.iterate().next()->at(0).size(0), 1);
  EXPECT_EQ(rows_of(shard), texts_of_files({3}));
}

TEST_F(AutoShardTest, BehindRebatch) {  // ASH-18
  const Texts three(names_.begin(), names_.begin() + 3);
  const Dataset dataset = Dataset::from_tfrecord(three).take(100).batch(5).rebatch({2, 1, 2});
  Iterator shard = auto_shard(dataset, 3, 1, kFile).iterate();
  std::vector<int64_t> sizes;
  for (const Element& element : shard) sizes.push_back(element[0].size(0));
  EXPECT_EQ(sizes, (Numbers{2, 1, 2, 2, 1, 2}));
  EXPECT_EQ(rows_of(auto_shard(dataset, 3, 1, kFile)), texts_of_files({1}));
}

TEST_F(AutoShardTest, AutoNeedsAFileForEachWorker) {
  const Texts three(names_.begin(), names_.begin() + 3);
  const Dataset dataset = Dataset::from_tfrecord(three);
  EXPECT_EQ(plan_sharding(dataset, 3).policy, kFile);
  const ShardingPlan plan = plan_sharding(dataset, 4);
  EXPECT_EQ(plan.policy, kData);
  EXPECT_EQ(plan.sentence,
            "input is shared by DATA: each of 4 workers reads everything and keeps every 4th "
            "element, because there are 3 files for 4 workers");
  EXPECT_EQ(plan_sharding(Dataset::zip({records(), dataset}), 4).policy, kData);
}

TEST_F(AutoShardTest, OneWorkerHasAllOfItUnderThePolicyThatSeveralWouldHave) {
  const Dataset files = records(), numbers = Dataset::range(4);
  EXPECT_EQ(plan_sharding(files, 1).policy, kFile);
  EXPECT_EQ(plan_sharding(numbers, 1).policy, kData);
  EXPECT_EQ(plan_sharding(files, 1, kData).policy, kData);
  EXPECT_EQ(plan_sharding(numbers, 1, kFile).policy, kFile);
  EXPECT_EQ(plan_sharding(numbers, 1).sentence, "input is whole: there is one worker");
  EXPECT_EQ(values_of(auto_shard(numbers, 1, 0, kFile)), iota(0, 4));
  EXPECT_EQ(texts_of(auto_shard(files, 1, 0)), texts_of(files));
}

TEST_F(AutoShardTest, ThePolicyIsAnOptionThatLaterStepsKeep) {
  const Dataset dataset =
      records().with_options({.auto_shard_policy = kData}).take(50).map([](const Element& e) {
        return e;
      });
  EXPECT_EQ(dataset.options().auto_shard_policy, kData);
  EXPECT_EQ(plan_sharding(dataset, 2).policy, kData);
  EXPECT_EQ(auto_shard(dataset, 2, 0).options().auto_shard_policy, kData);
}

TEST_F(AutoShardTest, PositionsContinueExactly) {
  const Dataset shard = auto_shard(listed(true).interleave(open).shuffle(9), 3, 1);
  const Texts all = texts_of(shard);
  Iterator iterator = shard.iterate();
  for (int i = 0; i < 13; ++i) iterator.next();
  EXPECT_EQ(texts_of(shard.resume(iterator.position())), Texts(all.begin() + 13, all.end()));
  EXPECT_THROW(
      auto_shard(listed(true).interleave(open).shuffle(9), 3, 2).resume(iterator.position()),
      Error);
}

}  // namespace
}  // namespace cohort::data
