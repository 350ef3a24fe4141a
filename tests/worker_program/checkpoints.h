#pragma once

#include "cohort/cohort.h"

/// A model of which every weight, slot and random number matters.
cohort::nn::Model make_saved_model();
/// One epoch, by its number.
void train_saved_model(const cohort::nn::Model& model, int64_t epoch);
/// So many epochs.
void fit_saved_model(const cohort::nn::Model& model, int64_t epochs,
                     std::vector<cohort::nn::Callback> callbacks);

/// Trains an epoch, saves, and trains a second; then restores into a new model and trains the
/// second again. Says the weights of both, and how many files were written. CHECKPOINT_PATH is the
/// directory.
void checkpoints(const cohort::distribute::Strategy& strategy);
/// Restores what checkpoints() saved in another job and trains the second epoch. Says the weights.
void resumed_checkpoints(const cohort::distribute::Strategy& strategy);
/// Saves into a directory of this process' own.
void unshared_checkpoints(const cohort::distribute::Strategy& strategy);
/// Saves weights as Keras does and loads them into another model; exports it. Says the weights of
/// both, what the exported function gives, and the codes of the errors that every worker gets.
void weights_files(const cohort::distribute::Strategy& strategy);
/// Three epochs that are saved after every second batch, from where an earlier job stood. One
/// worker gets a signal after so many batches of this job: INTERRUPTION is "WORKER BATCHES SIGNAL";
/// unset, none does. `input` is "", or how examples are distributed before: "data", "file" (those
/// of EXAMPLES_PATH), "off" or "function". Says the weights and the History.
void interrupted_fit(const cohort::distribute::Strategy& strategy, const std::string& input);
