#pragma once

#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/field_configs.h"

/// What compile() was given, as files have it ("compile_config" of keras 3.15).
namespace cohort::nn::internal {

/// Of a compiled model. InvalidArgument, naming what, where a loss, a metric or the optimizer is of
/// a class that is not registered.
Config describe_compiled(const ModelImpl& model);
/// For a model whose outputs are called so.
CompileOptions read_compile_options(const Config& config, const std::vector<std::string>& outputs,
                                    const Reading& reading);

}  // namespace cohort::nn::internal
