"""The labs of China, with their international addresses; a row each, by id."""

from __future__ import annotations

from typing import Final

from provider_core.presets.effort import (
    ANY,
    FIXED,
    GLM_SWITCHED,
    THINKING_AND_EFFORT,
    THINKING_TYPE,
    field,
    table,
)
from provider_core.presets.row import Preset
from provider_core.types import Effort, Quirks

__all__ = ["PRESETS"]

ADAPTIVE: Final = table(lambda level: {"thinking": {"type": "disabled" if level == "none" else "adaptive"}})

GLM: Final = Quirks(
    # docs.z.ai "Chat Completion": max_tokens only, tools at the model's choice only, JSON without a schema. Usage
    # comes unasked, as charmbracelet/fantasy recorded it, and stream_options is not documented.
    stream_usage=False,
    tool_choice_required="auto",
    json_schema="json_object",
    effort=(
        # docs.bigmodel.cn "GLM-5.3": it always thinks.
        Effort(models=("glm-5.3*",), levels=field("low", "high", "max")),
        Effort(models=GLM_SWITCHED, levels=THINKING_TYPE),
        ANY,
    ),
    # "Thinking Mode" wants the thoughts kept with the results of the tools that they called.
    reasoning_send_back="reasoning_content",
)

KIMI: Final = Quirks(
    max_tokens_field="max_completion_tokens",  # platform.kimi.ai "Chat Completion"
    # Levels that a model does not know are ignored in silence, so that the tables are whole.
    # platform.kimi.ai: "Use thinking effort" for k3, "Chat Completion" for k2.
    effort=(
        Effort(models=("kimi-k3*",), levels=field("low", "high", "max")),
        Effort(models=("kimi-k2.7-code*", "kimi-k2-thinking*", "moonshot-v1*"), levels=FIXED),
        Effort(models=("kimi-k2*",), levels=THINKING_TYPE),
        ANY,
    ),
    # A thinking turn that called tools is refused without its thoughts: charmbracelet/fantasy, kimi.
    reasoning_send_back="reasoning_content",
    # A demand for tools is a 400 while the model thinks, which it does by default: pydantic/pydantic-ai,
    # providers/moonshotai.py.
    tool_choice_while_thinking=False,
)

MINIMAX: Final = Quirks(
    # platform.minimax.io "OpenAI API": max_tokens is deprecated; tool_choice and response_format are not there.
    max_tokens_field="max_completion_tokens",
    tool_choice_required="auto",
    json_schema="none",
    # M2 thinks whatever is asked for; M3 decides for itself, or not at all: the same page.
    effort=(Effort(models=("minimax-m2*",), levels=FIXED), Effort(levels=ADAPTIVE)),
    # Thoughts come as <think> in the content and have to go back there: platform.minimax.io "OpenAI API".
    reasoning_send_back="think_tags",
)

PRESETS: Final = (
    Preset(
        id="deepseek",
        name="DeepSeek",
        kind="cloud",
        base_url="https://api.deepseek.com",
        other_base_urls=(
            ("https://api.deepseek.com/v1", "the same"),
            ("https://api.deepseek.com/beta", "prefix completion and strict tools"),
        ),
        key_env=("DEEPSEEK_API_KEY",),
        keys_url="https://platform.deepseek.com/api_keys",
        docs_url="https://api-docs.deepseek.com/",
        quirks=Quirks(
            # Every level is taken, and mapped by the server to those it has: api-docs.deepseek.com "Thinking
            # Mode".
            effort=(Effort(levels=THINKING_AND_EFFORT),),
            # A conversation with tools is refused without the reasoning of every answer: the same page.
            reasoning_send_back="reasoning_content",
            # A demand for tools is a 400 while it thinks, which it does by default: deepseek-ai/DeepSeek-V3
            # issue 1376.
            tool_choice_while_thinking=False,
            json_schema="json_object",  # api-docs.deepseek.com "JSON Output"
        ),
    ),
    Preset(
        id="kimi",
        name="Kimi (Moonshot AI, international)",
        kind="cloud",
        base_url="https://api.moonshot.ai/v1",
        other_base_urls=(("https://api.kimi.com/coding/v1", "coding plan, with keys of its own"),),
        also=("moonshot",),
        key_env=("MOONSHOT_API_KEY", "MOONSHOTAI_API_KEY", "KIMI_API_KEY"),
        keys_url="https://platform.kimi.ai/console/api-keys",
        docs_url="https://platform.kimi.ai/docs",
        regions=("kimi-cn",),
        context_fields=("context_length",),
        quirks=KIMI,
    ),
    Preset(
        id="kimi-cn",
        name="Kimi (Moonshot AI, China)",
        kind="cloud",
        base_url="https://api.moonshot.cn/v1",
        also=("moonshot",),
        key_env=("MOONSHOT_CN_API_KEY", "MOONSHOT_API_KEY", "KIMI_API_KEY"),
        keys_url="https://platform.moonshot.cn/console/api-keys",
        docs_url="https://platform.moonshot.cn/docs",
        regions=("kimi",),
        context_fields=("context_length",),
        quirks=KIMI,
    ),
    Preset(
        id="minimax",
        name="MiniMax (international)",
        kind="cloud",
        base_url="https://api.minimax.io/v1",
        key_env=("MINIMAX_API_KEY",),
        keys_url="https://platform.minimax.io/user-center/basic-information/interface-key",
        docs_url="https://platform.minimax.io/docs/api-reference/text-openai-api",
        regions=("minimax-cn",),
        quirks=MINIMAX,
    ),
    Preset(
        id="minimax-cn",
        name="MiniMax (China)",
        kind="cloud",
        base_url="https://api.minimaxi.com/v1",
        other_base_urls=(("https://api.minimax.chat/v1", "the old address"),),
        also=("minimaxi",),
        key_env=("MINIMAX_CN_API_KEY", "MINIMAX_API_KEY"),
        keys_url="https://platform.minimaxi.com/user-center/basic-information/interface-key",
        docs_url="https://platform.minimaxi.com/docs",
        regions=("minimax",),
        quirks=MINIMAX,
    ),
    Preset(
        id="stepfun",
        name="StepFun",
        kind="cloud",
        base_url="https://api.stepfun.com/v1",
        other_base_urls=(
            ("https://api.stepfun.ai/v1", "international"),
            ("https://api.stepfun.ai/step_plan/v1", "subscription plan"),
        ),
        also=("step",),
        key_env=("STEPFUN_API_KEY", "STEP_API_KEY"),
        keys_url="https://platform.stepfun.com/interface-key",
        docs_url="https://platform.stepfun.com/docs/api-reference/chat/chat-completion-create",
        quirks=Quirks(
            # platform.stepfun.com "Chat completion".
            effort=(Effort(levels=field("low", "medium", "high")),),
        ),
    ),
    Preset(
        id="xiaomi",
        name="Xiaomi MiMo",
        kind="cloud",
        base_url="https://api.xiaomimimo.com/v1",
        also=("mimo",),
        key_env=("XIAOMI_MIMO_API_KEY", "XIAOMI_API_KEY", "MIMO_API_KEY"),
        docs_url="https://platform.xiaomimimo.com/",
        quirks=Quirks(
            # platform.xiaomimimo.com "OpenAI API"; anomalyco/models.dev, providers/xiaomi, for the thoughts.
            effort=(Effort(levels=THINKING_TYPE),),
            reasoning_send_back="reasoning_content",
            json_schema="json_object",  # docs.agno.com "Xiaomi MiMo"
        ),
    ),
    Preset(
        id="zai",
        name="Z.ai (Zhipu, international)",
        kind="cloud",
        base_url="https://api.z.ai/api/paas/v4",
        other_base_urls=(("https://api.z.ai/api/coding/paas/v4", "coding plan, with keys of its own"),),
        also=("glm", "z.ai"),
        key_env=("ZAI_API_KEY", "ZHIPU_API_KEY"),
        keys_url="https://z.ai/manage-apikey/apikey-list",
        docs_url="https://docs.z.ai/api-reference/introduction",
        regions=("zhipu",),
        quirks=GLM,
    ),
    Preset(
        id="zhipu",
        name="Zhipu BigModel (China)",
        kind="cloud",
        base_url="https://open.bigmodel.cn/api/paas/v4",
        other_base_urls=(
            ("https://open.bigmodel.cn/api/coding/paas/v4", "coding plan, with keys of its own"),
        ),
        also=("glm", "bigmodel", "chatglm"),
        key_env=("ZHIPU_API_KEY", "ZHIPUAI_API_KEY", "BIGMODEL_API_KEY"),
        keys_url="https://bigmodel.cn/usercenter/proj-mgmt/apikeys",
        docs_url="https://docs.bigmodel.cn/cn/guide/develop/openai/introduction",
        regions=("zai",),
        quirks=GLM,
    ),
)
