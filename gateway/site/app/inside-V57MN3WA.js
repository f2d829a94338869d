import{k as a}from"./chunk-ZHMVT6GJ.js";import"./chunk-MLLPWXJY.js";import{ea as b}from"./chunk-MDJLSZCW.js";import"./chunk-WOT6VMZA.js";export{a as Inside,b as opener};
