// Metrics against what Keras recorded.
#include "cohort/cohort.h"
#include "tests/nn/support.h"

namespace cohort::nn {
namespace {

using testing::Golden;

/// The arguments of one recorded case.
class Case {
 public:
  Case(const Golden& golden, std::string group) : golden_(golden), group_(std::move(group)) {}

  std::string kind() const { return golden_.text(group_ + "/metric"); }
  bool has(const std::string& name) const { return golden_.has(group_ + "/" + name); }
  double number(const std::string& name, double otherwise) const {
    return has(name) ? golden_.number(group_ + "/" + name) : otherwise;
  }
  bool flag(const std::string& name, bool otherwise = false) const {
    return number(name, otherwise) != 0;
  }
  int64_t whole(const std::string& name, int64_t otherwise) const {
    return static_cast<int64_t>(number(name, static_cast<double>(otherwise)));
  }
  std::optional<int64_t> optional_whole(const std::string& name) const {
    return has(name) ? std::optional(whole(name, 0)) : std::nullopt;
  }
  std::vector<double> list(const std::string& name) const {
    return has(name) ? golden_.values<double>(group_ + "/" + name) : std::vector<double>();
  }
  std::string text(const std::string& name, const std::string& otherwise) const {
    return has(name) ? golden_.text(group_ + "/" + name) : otherwise;
  }
  Tensor tensor(const std::string& name) const {
    return has(name) ? golden_[group_ + "/" + name] : Tensor();
  }
  std::vector<double> values(const std::string& name) const {
    return golden_.values<double>(group_ + "/" + name);
  }

 private:
  const Golden& golden_;
  std::string group_;
};

template <class M>
Metric of_thresholds(const Case& of) {
  return M({.thresholds = of.list("thresholds")});
}

template <class M>
Metric of_decisions(const Case& of) {
  return M({.thresholds = of.list("thresholds"),
            .top_k = of.optional_whole("top_k"),
            .class_id = of.optional_whole("class_id")});
}

Metric auc(const Case& of) {
  return AUC({.num_thresholds = of.whole("num_thresholds", 200),
              .curve = of.text("curve", "ROC"),
              .summation_method = of.text("summation_method", "interpolation"),
              .thresholds = of.list("thresholds"),
              .multi_label = of.flag("multi_label"),
              .num_labels = of.optional_whole("num_labels"),
              .label_weights = of.list("label_weights"),
              .from_logits = of.flag("from_logits")});
}

std::optional<double> threshold(const Case& of) {
  return of.has("threshold") ? std::optional(of.number("threshold", 0)) : std::nullopt;
}

Metric mean_iou(const Case& of) {
  return MeanIoU({.num_classes = of.whole("num_classes", 0),
                  .ignore_class = of.optional_whole("ignore_class"),
                  .sparse_y_true = of.flag("sparse_y_true", true),
                  .sparse_y_pred = of.flag("sparse_y_pred", true)});
}

const std::map<std::string, std::function<Metric(const Case&)>>& makers() {
  using Loss = metrics::MeanOfLoss;
  static const std::map<std::string, std::function<Metric(const Case&)>> all{
      {"Accuracy", [](const Case&) { return Accuracy(); }},
      {"SparseCategoricalAccuracy", [](const Case&) { return SparseCategoricalAccuracy(); }},
      {"CategoricalAccuracy", [](const Case&) { return CategoricalAccuracy(); }},
      {"BinaryAccuracy",
       [](const Case& of) { return BinaryAccuracy({.threshold = of.number("threshold", 0.5)}); }},
      {"SparseCategoricalCrossentropy",
       [](const Case&) { return Loss(SparseCategoricalCrossentropy({.from_logits = true})); }},
      {"CategoricalCrossentropy",
       [](const Case&) { return Loss(CategoricalCrossentropy({.from_logits = true})); }},
      {"BinaryCrossentropy", [](const Case&) { return Loss("bce"); }},
      {"Mean", [](const Case&) { return Mean(); }},
      {"Sum", [](const Case&) { return Sum(); }},
      {"MeanSquaredError", [](const Case&) { return metrics::MeanSquaredError(); }},
      {"MeanAbsoluteError", [](const Case&) { return metrics::MeanAbsoluteError(); }},
      {"RootMeanSquaredError", [](const Case&) { return RootMeanSquaredError(); }},
      {"TopKCategoricalAccuracy",
       [](const Case& of) { return TopKCategoricalAccuracy({.k = of.whole("k", 5)}); }},
      {"SparseTopKCategoricalAccuracy",
       [](const Case& of) {
         return SparseTopKCategoricalAccuracy(
             {.k = of.whole("k", 5), .from_sorted_ids = of.flag("from_sorted_ids")});
       }},
      {"TruePositives", of_thresholds<TruePositives>},
      {"TrueNegatives", of_thresholds<TrueNegatives>},
      {"FalsePositives", of_thresholds<FalsePositives>},
      {"FalseNegatives", of_thresholds<FalseNegatives>},
      {"Precision", of_decisions<Precision>},
      {"Recall", of_decisions<Recall>},
      {"AUC", auc},
      {"F1Score",
       [](const Case& of) {
         return F1Score({.average = of.text("average", ""), .threshold = threshold(of)});
       }},
      {"FBetaScore",
       [](const Case& of) {
         return FBetaScore({.average = of.text("average", ""),
                            .beta = of.number("beta", 1),
                            .threshold = threshold(of)});
       }},
      {"MeanIoU", mean_iou},
  };
  return all;
}

void expect_values(const std::vector<double>& got, const std::vector<double>& want,
                   const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], 2e-5) << what << " at " << i;
}

using Update =
    std::function<void(const Tensor& y_true, const Tensor& y_pred, const Tensor& weight)>;

class MetricsGoldenTest : public ::testing::Test {
 protected:
  /// Compares the results after each update of every case; `updates` makes what updates a metric.
  void check_all(const std::function<Update(const Metric&)>& updates) {
    for (const std::string& name : golden_.cases("metrics")) {
      const Case of(golden_, "metrics/" + name);
      const Metric metric = makers().at(of.kind())(of);
      const Update update = updates(metric);
      for (int i = 0; of.has("result" + std::to_string(i)); ++i) {
        const std::string k = std::to_string(i);
        const bool single = of.has("values" + k);
        update(of.tensor("y_true" + k), of.tensor((single ? "values" : "y_pred") + k),
               of.tensor("sample_weight" + k));
        expect_values(metric.results(), of.values("result" + k), name + " " + k);
      }
      metric.reset_state();
      expect_values(metric.results(), of.values("result_after_reset"), name + " after reset");
    }
  }

  const Golden golden_{"metrics"};
};

TEST_F(MetricsGoldenTest, ResultsAfterEachUpdate) {
  check_all([](const Metric& metric) -> Update {
    return [metric](const Tensor& y_true, const Tensor& y_pred, const Tensor& weight) {
      metric.update_state(y_true, y_pred, weight);
    };
  });
}

/// The arguments that are there, in a traced function, in order.
struct Present {
  bool labels, weights;

  void update(const Metric& metric, std::span<const Value> in) const {
    size_t next = 0;
    const Value y_true = labels ? in[next++] : Value();
    const Value y_pred = in[next++];
    metric.update_state(y_true, y_pred, weights ? in[next] : Value());
  }
};

/// The first of three replicas has no row, and the others uneven numbers of them.
TEST_F(MetricsGoldenTest, ReplicasHaveTheResultsOfAllRows) {
  const auto strategy = distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1", "cpu:2"}});
  const auto spread = [&](const Tensor& tensor) {
    const int64_t all = tensor.size(0), first = all / 3;
    const std::vector<int64_t> ends{0, 0, first, all};
    return strategy.distribute_values_from_function([&](int replica) {
      const auto r = static_cast<size_t>(replica);
      return tensor.slice(0, ends[r], ends[r + 1]);
    });
  };
  check_all([&](const Metric& metric) -> Update {
    std::optional<Function> step;
    return [&, metric, step](const Tensor& y_true, const Tensor& y_pred,
                             const Tensor& weight) mutable {
      if (y_pred.rank() == 0) return metric.update_state(y_true, y_pred, weight);
      const Present present{y_true.defined(), weight.defined()};
      if (!step)
        step.emplace([metric, present](std::span<const Value> in) {
          present.update(metric, in);
          return std::vector<Value>();
        });
      std::vector<distribute::Argument> arguments;
      for (const Tensor& tensor : {y_true, y_pred, weight})
        if (tensor.defined()) arguments.emplace_back(spread(tensor));
      strategy.run(*step, arguments);
    };
  });
}

TEST_F(MetricsGoldenTest, AccuracyIsChosenByShapes) {
  for (const std::string& name : golden_.cases("selection")) {
    const std::string group = "selection/" + name;
    const Tensor labels(DType::kF32, Shape(golden_.values<int64_t>(group + "/y_true_shape")));
    const Shape predictions(golden_.values<int64_t>(group + "/y_pred_shape"));
    const Metric chosen = make_metric("accuracy", labels.shape(), predictions);
    const Metric wanted = make_metric(golden_.text(group + "/chosen"), labels.shape(), predictions);
    EXPECT_EQ(typeid(chosen.impl()), typeid(wanted.impl())) << name;
    EXPECT_EQ(chosen.name(), "accuracy");
  }
}

}  // namespace
}  // namespace cohort::nn
