/** Templates under attack: whatever is put in stays text, and what hides is seen. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { html } from './html.ts';

const ATTACKS = [
  '<script>alert(1)</script>',
  '</script><img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  "' onmouseover='alert(1)",
  '` onclick=alert(1) `',
  '<!--',
  ']]>',
  '&lt;script&gt;',
];

describe('html``', () => {
  it('leaves no character of what is put in that could end a text or an attribute', () => {
    for (const attack of ATTACKS) {
      const made = html`<p title="${attack}">${attack}</p>`.toString();
      const [, title = '', text = ''] = /^<p title="([^"]*)">([^<]*)<\/p>$/s.exec(made) ?? assert.fail(made);
      for (const value of [title, text]) {
        assert.doesNotMatch(value, /[<>"'`]/);
        assert.equal(
          value.replace(/&#(\d+);/g, (_whole, code) => String.fromCharCode(Number(code))),
          attack,
        );
      }
    }
  });

  it('takes markup from itself alone, and lists of it', () => {
    const items = ['a<b', 'c'].map((text) => html`<li>${text}</li>`);
    assert.equal(html`<ul>${items}</ul>`.toString(), '<ul><li>a&#60;b</li><li>c</li></ul>');
    assert.equal(html`<p>${{ toString: () => '<b>' } as unknown as string[]}</p>`.toString().includes('<b>'), false);
    assert.equal(html`${undefined}${null}${false}${true}${[]}${0}`.toString(), '0');
    assert.throws(() => html`<p title="${html`<b>`}">`, /attribute/);
  });

  it('leads to this site or to http(s), and nowhere else', () => {
    const leads = (to: string) => /href="([^"]*)"/.exec(html`<a href="${to}">x</a>`.toString())?.[1];
    for (const to of ['/sessions?after=1', '#op-1', '?page=2', 'https://slack.example/archives/C1', 'http://h/x']) {
      assert.equal(leads(to)?.replaceAll('&#38;', '&'), to);
    }
    for (const to of [
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      ' javascript:alert(1)',
      'java\nscript:alert(1)',
      '\u0000javascript:alert(1)',
      'data:text/html,<script>',
      'vbscript:x',
      '//evil.example/',
      '/\\evil.example/',
      '\\\\evil.example',
      'https:\\\\evil.example',
      'sessions',
      '/\tx',
      'https://\u202eelpmaxe',
      'http://[',
      '',
    ]) {
      assert.equal(leads(to), '#', JSON.stringify(to));
    }
    assert.equal(html`<form action="${'javascript:x'}"></form>`.toString(), '<form action="#"></form>');
  });

  it('writes out what hides, in texts and in attributes, and what would imitate that', () => {
    const made =
      html`<p title="${'a\u202eb'}">${'x\u001b]8;;http://evil\u0007y\u200b\u2066⟨U+0041⟩\r\u0000'}</p>`.toString();
    assert.equal(
      made,
      '<p title="a⟨U+202E⟩b">x⟨U+001B⟩]8;;http://evil⟨U+0007⟩y⟨U+200B⟩⟨U+2066⟩⟨U+27E8⟩U+0041⟨U+27E9⟩⟨U+000D⟩⟨U+0000⟩</p>',
    );
    assert.equal(html`<p>${'\ud800'}</p>`.toString(), '<p>⟨U+D800⟩</p>');
    assert.equal(html`<p>${'שלום עולם 漢字 é\n\t'}</p>`.toString(), '<p>שלום עולם 漢字 é\n\t</p>');
  });

  it('refuses a template with a hole where nothing can be made safe', () => {
    const [x, wrong] = ['x', /stands in quotes|nothing/];
    assert.throws(() => html`<p title=${x}>`, wrong);
    assert.throws(() => html`<${x}>`, wrong);
    assert.throws(() => html`<p ${x}="y">`, wrong);
    assert.throws(() => html`<p onclick="${x}">`, wrong);
    assert.throws(() => html`<p style="color: ${x}">`, wrong);
    assert.throws(() => html`<iframe srcdoc="${x}">`, wrong);
    assert.throws(() => html`<script>${x}</script>`, wrong);
    assert.throws(() => html`<style>${x}</style>`, wrong);
    assert.equal(html`<p class="a ${x}" id="b">${x}</p><i>${x}</i>`.toString(), '<p class="a x" id="b">x</p><i>x</i>');
  });
});
