/** Block Kit blocks. Interactive elements call `on.click`; inputs read and write `on.values`. */
import type { ReactNode } from 'react';
import { ClickableElement } from './elements.tsx';
import { InputElement } from './inputs.tsx';
import { keyed } from './keyed.ts';
import { type Fields, textOf, type Values } from './model.ts';
import { Mrkdwn, Plain } from './mrkdwn.tsx';
import { RichText } from './rich-text.tsx';

export interface Handlers {
  /** Resolves when the app has acknowledged. */
  click: (actionId: string, blockId: string, value?: string) => Promise<void>;
  values?: Values;
  change?: (blockId: string, actionId: string, value: Fields) => void;
  errors?: Record<string, string>;
}

export function Blocks({ blocks, on }: { blocks: Fields[]; on: Handlers }): ReactNode {
  return (
    <div className="blocks">
      {blocks.map((block) => (
        <Block key={String(block.block_id)} block={block} on={on} />
      ))}
    </div>
  );
}

export function Text({ value }: { value: unknown }): ReactNode {
  const text = textOf(value);
  const mrkdwn = typeof value === 'object' && value !== null && 'type' in value && value.type === 'mrkdwn';
  return mrkdwn ? <Mrkdwn text={text} /> : <Plain text={text} />;
}

function Block({ block, on }: { block: Fields; on: Handlers }): ReactNode {
  const id = String(block.block_id);
  switch (block.type) {
    case 'header':
      return (
        <h3 className="block-header">
          <Text value={block.text} />
        </h3>
      );
    case 'divider':
      return <hr />;
    case 'section':
      return (
        <div className="block-section">
          <div className="block-section-text">
            {block.text === undefined ? null : (
              <div className="text">
                <Text value={block.text} />
              </div>
            )}
            {Array.isArray(block.fields) ? (
              <div className="fields">
                {keyed(block.fields as Fields[], (field) => (
                  <div className="field">
                    <Text value={field} />
                  </div>
                ))}
              </div>
            ) : null}
          </div>
          {block.accessory === undefined ? null : (
            <ClickableElement element={block.accessory as Fields} blockId={id} click={on.click} />
          )}
        </div>
      );
    case 'context':
      return (
        <div className="block-context">
          {keyed(block.elements as Fields[], (element) =>
            element.type === 'image' ? (
              <img src={String(element.image_url)} alt={String(element.alt_text)} />
            ) : (
              <span>
                <Text value={element} />
              </span>
            ),
          )}
        </div>
      );
    case 'actions':
      return (
        <div className="block-actions">
          {(block.elements as Fields[]).map((element) => (
            <ClickableElement key={String(element.action_id)} element={element} blockId={id} click={on.click} />
          ))}
        </div>
      );
    case 'image':
      return <img className="block-image" src={String(block.image_url)} alt={String(block.alt_text)} />;
    case 'rich_text':
      return <RichText block={block} />;
    case 'markdown':
      return <div className="text">{String(block.text)}</div>;
    case 'input':
      return <InputBlock block={block} on={on} />;
    default:
      return null;
  }
}

function InputBlock({ block, on }: { block: Fields; on: Handlers }): ReactNode {
  const id = String(block.block_id);
  const element = block.element as Fields;
  const actionId = String(element.action_id);
  const error = on.errors?.[id];
  const Group = ['radio_buttons', 'checkboxes'].includes(String(element.type)) ? 'div' : 'label'; // choices have their own labels
  return (
    <div className={`block-input${error === undefined ? '' : ' wrong'}`}>
      <Group>
        <span className="label">
          <Text value={block.label} />
          {block.optional === true ? <span className="optional"> (optional)</span> : null}
        </span>
        <InputElement
          element={element}
          value={on.values?.[id]?.[actionId] ?? {}}
          change={(value) => on.change?.(id, actionId, value)}
        />
      </Group>
      {error === undefined ? null : (
        <p className="error" role="alert">
          {error}
        </p>
      )}
      {block.hint === undefined ? null : (
        <p className="hint">
          <Text value={block.hint} />
        </p>
      )}
    </div>
  );
}
