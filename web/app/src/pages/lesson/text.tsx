/** A section's text, readable. */
import { blocksOf, piecesOf, type Block } from "./blocks";

export function Text({ text }: { text: string }) {
  return (
    <div class="lesson-text">
      {blocksOf(text).map((block, place) => (
        <OneBlock key={place} block={block} />
      ))}
    </div>
  );
}

function OneBlock({ block }: { block: Block }) {
  if (block.kind !== "list") {
    if (block.kind === "verbatim") return <pre dir="auto" tabIndex={0}>{block.text}</pre>;
    const words = <Words text={block.text} />;
    return block.kind === "quote" ? <blockquote dir="auto">{words}</blockquote> : <p dir="auto">{words}</p>;
  }
  const items = block.items.map((item, place) => (
    <li key={place}>
      <Words text={item} />
    </li>
  ));
  return block.ordered ? <ol start={block.first} dir="auto">{items}</ol> : <ul dir="auto">{items}</ul>;
}

/** The address is what is shown: nobody is led elsewhere than they read. */
function Words({ text }: { text: string }) {
  return (
    <>
      {piecesOf(text).map((piece, place) =>
        piece.link ? (
          <a key={place} href={piece.text} target="_blank" rel="noopener noreferrer nofollow" dir="ltr">
            {piece.text}
          </a>
        ) : (
          piece.text
        ),
      )}
    </>
  );
}
