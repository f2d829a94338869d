import{k as a}from"./chunk-E5PBHEYV.js";import"./chunk-4EREL323.js";import{ea as b}from"./chunk-ZBMXXGPR.js";import"./chunk-WOT6VMZA.js";export{a as Inside,b as opener};
