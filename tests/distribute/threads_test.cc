#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "cohort/cohort.h"

/// Several threads of a program use models, functions and strategies at once.
namespace cohort::nn {
namespace {

constexpr int kTimes = 200;

Tensor pattern(Shape shape, uint32_t x = 12345) {
  Tensor t(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < t.num_elements(); ++i)
    t.data<float>()[i] =
        static_cast<float>((x = x * 1664525 + 1013904223) >> 8) / 16777216.f - 0.5f;
  return t;
}

Model make_model(int units = 32) {
  return Sequential({Input({.shape = {16}}), Dense({.units = units, .activation = "relu"}),
                     BatchNormalization(), Dense({.units = units}), Dense({.units = 1})});
}

Model compiled(const Model& model) {
  model.compile({.optimizer = Adam({.learning_rate = 0.01}), .loss = "mse", .metrics = {"mse"}});
  return model;
}

void fit(const Model& model, int epochs = 6) {
  model.fit(pattern({64, 16}), pattern({64, 1}, 7),
            {.batch_size = 8, .epochs = epochs, .verbose = 0, .shuffle = false});
}

/// Runs all in threads of their own, to their ends.
void at_once(const std::vector<std::function<void()>>& bodies) {
  std::vector<std::thread> threads;
  for (const auto& body : bodies) threads.emplace_back(body);
  for (std::thread& thread : threads) thread.join();
}

distribute::Strategy mirrored() {
  return distribute::MirroredStrategy({.devices = {"cpu:0", "cpu:1"}});
}

class ThreadsConcurrentTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { default_runtime().set_logical_cpu_devices(4, 1); }

  /// Predicts again and again; counts what differs from `want`.
  void predict(const Model& model, const Tensor& want) {
    for (int i = 0; i < kTimes; ++i) wrong_ += !bitwise_equal(model(x_), want);
  }

  const Tensor x_ = pattern({32, 16}, 3);
  std::atomic<int> wrong_ = 0;
};

TEST_F(ThreadsConcurrentTest, TwoModelsPredictWhatEachPredictsAlone) {
  const Model a = make_model(), b = mirrored().scope([] { return make_model(48); });
  const Tensor of_a = a(x_), of_b = b(x_);
  at_once({[&] { predict(a, of_a); }, [&] { predict(b, of_b); }});
  EXPECT_EQ(wrong_, 0);
}

TEST_F(ThreadsConcurrentTest, ThreadsPredictWithOneModel) {
  for (const bool on_replicas : {false, true}) {
    const Model model = on_replicas ? mirrored().scope([] { return make_model(); }) : make_model();
    const Tensor want = model(x_), few = model(pattern({5, 16}));
    const auto batches = [&] {  // in batches of 8, which other threads come between
      for (int i = 0; i < kTimes / 8; ++i)
        wrong_ += !bitwise_equal(model.predict(x_, {.batch_size = 8, .verbose = 0}), want);
    };
    const auto rows = [&] {
      for (int i = 0; i < kTimes; ++i) wrong_ += !bitwise_equal(model(pattern({5, 16})), few);
    };
    at_once({[&] { predict(model, want); }, batches, rows});
    EXPECT_EQ(wrong_, 0) << on_replicas;
  }
}

TEST_F(ThreadsConcurrentTest, AFitBesidePredictionsOfAnotherModelHasTheBitsOfOneAlone) {
  set_random_seed(1);
  const Model alone = compiled(make_model());
  fit(alone);
  set_random_seed(1);
  const Model trained = compiled(make_model());
  const Model other = make_model();
  const Tensor want = other(x_);
  at_once({[&] { fit(trained); }, [&] { predict(other, want); }});
  EXPECT_EQ(wrong_, 0);
  EXPECT_EQ(trained.fingerprint(), alone.fingerprint());
}

TEST_F(ThreadsConcurrentTest, ModelsMadeAndTrainedAtOnceHaveTheBitsOfOneAlone) {
  constexpr int kThreads = 4;
  std::vector<std::string> prints(kThreads + 1);
  const auto train = [&](size_t i) {
    clear_session();  // names are counted in each thread
    const Model model =
        i % 2 ? mirrored().scope([] { return compiled(make_model()); }) : compiled(make_model());
    fit(model, 3);
    const Logs logs = model.evaluate(pattern({64, 16}), pattern({64, 1}, 7), {.verbose = 0});
    prints[i] = model.fingerprint() + fmt::format(" {:.9g}", logs["mse"]);
  };
  train(4);
  std::vector<std::function<void()>> bodies;
  for (size_t i = 0; i < kThreads; ++i) bodies.emplace_back([&train, i] { train(i); });
  at_once(bodies);
  EXPECT_EQ(prints[0], prints[4]);
  EXPECT_EQ(prints[2], prints[4]);
  EXPECT_EQ(prints[1], prints[3]);
}

/// w moves by 0.1 in every step, whoever makes it: the loss is the prediction, of ones.
TEST_F(ThreadsConcurrentTest, ModelsThatShareALayerTrainItInTurn) {
  const Layer shared = Dense{.units = 1, .use_bias = false, .kernel_initializer = "ones"};
  const auto make = [&] {
    const Sequential model({Input({.shape = {1}}), shared});
    model.compile({.optimizer = SGD({.learning_rate = 0.125}),
                   .loss = Loss([](Value, Value y) { return ops::squeeze(y, -1); }, "prediction")});
    return Model(model);
  };
  const Model one = distribute::OneDeviceStrategy("cpu:0").scope(make),
              two = distribute::OneDeviceStrategy("cpu:2").scope(make),
              both = mirrored().scope(make);
  const Tensor ones = Tensor::full(DType::kF32, Shape{2, 1}, 1);
  std::vector<std::function<void()>> bodies;
  for (const Model& model : {one, two, both})
    bodies.emplace_back(
        [&, model] { model.fit(ones, ones, {.batch_size = 2, .epochs = 40, .verbose = 0}); });
  at_once(bodies);
  for (const Model& model : {one, two, both}) {
    const Tensor predicted = model.predict(ones, {.batch_size = 2, .verbose = 0});
    for (const float y : predicted.values<float>()) EXPECT_EQ(y, 1 - 120 * 0.125f);
  }
}

TEST_F(ThreadsConcurrentTest, AFunctionCountsTheCallsOfAllThreads) {
  const Variable count(Tensor::scalar(0.f), "count"), mirrored_count(Tensor::scalar(0.f), "both");
  const Function add = function([&](Value x) {
    ops::assign_add(count.shared(), x);
    return x * 2.0;
  });
  const Function add_on_both =
      function([&](Value x) { ops::assign_add(mirrored_count.shared(), x); });
  const distribute::Strategy strategy = mirrored();
  const auto call = [&] {
    for (int i = 1; i <= kTimes; ++i) {
      // Two signatures in turn.
      wrong_ += add(Tensor::scalar(static_cast<float>(i)))[0].item() != 2.0 * i;
      strategy.run(add_on_both, {Tensor::scalar(1.f)});
    }
  };
  at_once({call, call, [&] {
             for (int i = 0; i < kTimes; ++i) (void)mirrored_count.value();
           }});
  EXPECT_EQ(wrong_, 0);
  EXPECT_EQ(count.value().item(), kTimes * (kTimes + 1));
  EXPECT_EQ(mirrored_count.value().item(), 2 * kTimes);
  for (const auto& place : mirrored_count.impl().places())
    EXPECT_EQ(mirrored_count.impl().value(*place->device).item(), 2 * kTimes);
}

TEST_F(ThreadsConcurrentTest, PredictionsBesideAFitAreThoseOfWholeSteps) {
  const Model model = mirrored().scope([] { return compiled(make_model()); });
  std::atomic<bool> ended = false;
  const Tensor rows = Tensor::full(DType::kF32, Shape{4, 16}, 0.25);
  at_once({[&] {
             fit(model);
             ended = true;
           },
           [&] {
             do {
               const Tensor y = model(rows);  // two rows on each replica
               for (const float v : y.values<float>()) wrong_ += v != y.values<float>()[0];
             } while (!ended);
           }});
  EXPECT_EQ(wrong_, 0) << "a replica was a step behind the other";
}

TEST_F(ThreadsConcurrentTest, ASecondThreadDoesNotTrainTheSameModel) {
  const Model model = compiled(make_model());
  std::vector<std::string> errors;
  const auto refused = [&errors](const std::function<void()>& body) {
    std::thread([&] {
      try {
        body();
        errors.push_back("no error");
      } catch (const Error& error) {
        errors.push_back(error.what());
      }
    }).join();
  };
  const Tensor x = pattern({8, 16}), y = pattern({8, 1});
  const Callback others = LambdaCallback({.on_epoch_begin = [&](int64_t) {
    refused([&] { model.fit(x, y, {.verbose = 0}); });
    refused([&] { model.evaluate(x, y, {.verbose = 0}); });
    refused([&] { model.train_on_batch(x, y); });
    refused([&] { compiled(model); });
    model.evaluate(x, y, {.verbose = 0});  // the same thread may
  }});
  model.fit(x, y, {.verbose = 0, .callbacks = {others}});
  ASSERT_EQ(errors.size(), 4u);
  for (const std::string& error : errors) {
    EXPECT_NE(error.find("is in fit()"), std::string::npos) << error;
    EXPECT_NE(error.find("thread " + std::to_string(this_thread_id())), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace cohort::nn
