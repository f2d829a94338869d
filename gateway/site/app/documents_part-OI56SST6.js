import{a,b as c}from"./chunk-QBQ3PCZ4.js";import{ha as b}from"./behind-TWWAHOBF.js";import"./app-PPV2UODD.js";export{b as Core,c as part,a as unpackState};
