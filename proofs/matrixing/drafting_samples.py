"""A sample of what asks for drafts of questions. As `operation_samples`: what a sample names exists and is fresh."""

from __future__ import annotations

from proofs.matrixing.operation_samples import AT
from proofs.matrixing.site import Site, operation
from protocol.entities import Entity, write_fields
from protocol.operations import AnyOperation, AskQuestions, Change


@operation(AskQuestions)
async def ask_questions(site: Site) -> AnyOperation:
    """About a section that nobody asked about yet."""
    key, library = await site.ground.next_key(), site.place.library
    code, _, detail = await site.writer.do(
        Change(library, Entity.CONTENT, key, AT, write_fields({1: "title", 2: "The sun warms the sea."}))
    )
    assert not code, detail
    return AskQuestions(library, content=key)
