"""A stand-in for a language model: rules behind the protocol that the real ones speak.

It answers ``POST /v1/chat/completions`` as OpenAI's servers do, tools and streaming included, says the same
to the same question, and fails on purpose. Standard library only: ``python -m demo_project.language_model``.
"""
