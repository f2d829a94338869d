import{f as a}from"./chunk-6WS4BS2Y.js";import"./chunk-WHWHPCR2.js";import"./beside-XZD4NHXA.js";import"./behind-TWWAHOBF.js";import"./app-PPV2UODD.js";export{a as Prover};
