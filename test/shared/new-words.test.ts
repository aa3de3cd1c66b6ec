import { describe, expect, it } from 'vitest';
import { openAskedTerms } from '../../shared/new-words.ts';
import { openSpelling } from '../../shared/spelling.ts';

const asked = { terms: 'cafe red sofa' };

describe('openAskedTerms', () => {
  it('finds a word that was never asked, as terms are compared: plurals and accents aside, stop words left out', () => {
    const newIn = openAskedTerms(asked);
    for (const known of ['red sofa', 'the sofas', 'café', '', 'sofa red red']) expect(newIn(known), known).toEqual([]);
    expect(newIn('red couches')).toEqual(['couch']);
    expect(newIn('sofa für einen hund')).toEqual(['fur', 'einen', 'hund']);
  });

  it('takes no number and no model for a word', () => {
    expect(openAskedTerms(asked)('sofa 200 cm3 xr500')).toEqual([]);
  });

  it('leaves out what is put right before the student reads it, and keeps a new word that is right', () => {
    const newIn = openAskedTerms(asked, openSpelling({ suggested: 'sofa red couch', known: 'armchair' }));
    expect(newIn('red soffa')).toEqual([]);
    expect(newIn('couch armchair soffa')).toEqual(['couch', 'armchair']);
    expect(openAskedTerms(asked)('red soffa')).toEqual(['soffa']);
  });

  it('calls every word new where nothing was asked', () => {
    expect(openAskedTerms({ terms: '' })('sofa')).toEqual(['sofa']);
    expect(openAskedTerms({ terms: '' })('the')).toEqual([]);
  });
});
