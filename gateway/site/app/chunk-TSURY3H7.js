import{a as e,b as a}from"./chunk-OPXD76NU.js";var r=`
al i -1099511627776 1099511627776
am i 0 255
an i 1 2147483647
ao a 0 - h
ap o 0-7
aq r HeldReason
ar a 0 - aq
as o 0-8
at i 0 100
au i 0 101
av a 0 - at
aw s 1 60
ax s 0 500
ay o 0-3
az a 1 256 l
aA i 0 1000
aB s 1 40
aC i 1 9007199254740735
aD r Run
aE a 1 256 aD
aF i 256 65536
aG i 1 100
aH r Sent
aI a 0 256 aH
aJ a 0 20 aw
aK i 0 10
aL s 2 35
aM a 0 10 aL
aN i 0 16777215
aO a 0 7 aN
aP i 1 40
aQ x 0 512
aR s 1 200
aS x 0 48
aT i 1 50
aU i 0 2147483647
aV i 256 49152
aW s 0 4096
aX i 0 15
aY a 1 19 a
aZ e 1-3
ba r Held
bb a 0 500 ba
bc i 0 21600
bd i 1 5
be r Level
bf a 0 8 be
bg s 0 35
bh x 2 61440
bi i 0 4294967295
bj r RecordItem
bk a 0 - bj
bl r Conflict
bm a 0 - bl
bn r UnappliedItem
bo a 0 - bn
bp r KeptVersion
bq a 0 - bp
br r Settlement
bs a 0 - br
bt a 0 - ba
bu r ReportItem
bv a 0 - bu
bw r MentorFound
bx a 0 - bw
by r MentorshipItem
bz a 0 - by
bA r HeldItem
bB a 0 - bA
bC r DocumentVersion
bD a 0 - bC
bE r FoundMessage
bF a 0 - bE
bG r Trusted
bH a 0 512 bG
bI a 1 256 a

rChangeItem 0 key:a later:al fields:l= base:d= gone:r=
r~Conflict 0 conflict:a stream:a entity:s key:a user:a state:ah at:k version:d mine:l theirs:l common:l present:l gone:r= by:d= choice:am=
r~DocumentVersion 0 version:a generation:an upto:d name:h by:d at:k size:J
r~FoundMessage 0 space:a stream:a seq:a author:d name:h at:k whole:r excerpt:ao
r~Held 0 stream:a rank:am=
r~HeldItem 0 held:a form:ah state:ap user:a at:k reasons:ar text:h= by:h= degraded:h= space:d= stream:d= seq:J= appeal:h= appealed:k=
r~HeldReason 0 harm:as percent:at
r~KeptVersion 0 place:a version:d kept:n author:d at:k fields:l
r~Level 0 harm:as hold:au hide:au
r~MentorFound 0 user:a name:h display_name:h percent:at factors:av why:h about:h= free:J=1 space:d=
r~MentorshipItem 0 mentorship:a mentor:a learner:a other_name:h state:ap subject:aw words:ax at:k community:d= space:d= conversation:d= records:d= said:r= other_said:r=
r~RecordItem 0 entity:s key:a version:d fields:l= gone:r=
r~ReportItem 0 report:a about:ay user:a reason:as state:ay at:k times:j words:ax space:J= stream:J= seq:J= text:h=
rRun 0 stream:a entity:s changes:az
r~Sent 0 number:a digest:j
r~Settlement 0 number:a code:M value:j detail:N=
r~Trusted 0 user:a trust:aA
r~UnappliedItem 0 item:a user:a space:J at:k code:M detail:N operation:P quarantined:r=
cSearch 14 id:C name:aB
cChunk 15 number:aC at:k runs:aE
cSnapshot 16 id:C stream:a entity:am= key:d= bytes_max:aF=8192
cConflicts 17 id:C after:d= open_only:r=true conflict:d= limit:aG=20
cUnapplied 18 id:C after:d= space:d= limit:aG=20
cVersions 19 id:C stream:a entity:s key:a before:d= limit:aG=20
cInherit 20 id:C device:a sent:aI
cHolding 21 id:C
c~Sync 22 epoch:d= clock_ms:d= schema:s=2 bytes_max:d=
cReports 26 id:C after:d= space:d= platform:r= open_only:r=true limit:aG=20
cMentorships 27 id:C after:d= open_only:r=true limit:aG=50
cFindMentors 28 id:C subjects:aJ= level:aK= styles:am= languages:aM= hours:aO= space:d= limit:aP=10
cHeldItems 29 id:C after:d= space:d= platform:r= open_only:r=true limit:aG=20
cAware 30 document:a data:aQ
cFind 31 id:C words:aR space:d= stream:d= place:aS= limit:aT=20
cLoadDocument 100 id:C document:a version:d= generation:aU= upto:d= offset:aU= bytes_max:aV=8192
cDocumentVersions 101 id:C document:a before:d= limit:aG=50
oCreateCommunity 6 name:ag open_to_all:r=true settings:aW="{}"
oCreateChannel 7 space:a name:ag read_roles:aX=15 write_roles:aX=15
oChangeChannel 8 stream:a name:ag read_roles:aX write_roles:aX
oJoin 9 space:a
oLeave 10 space:a
oInvite 11 space:a user:a role:i=8
oRemove 12 space:a user:a
oSetRole 13 space:a user:a role:i
oChangeSettings 14 space:a name:ag open_to_all:r settings:aW
oOpenConversation 15 users:aY
oRename 16 display_name:ag
oChange 18 stream:a entity:s key:a at:k fields:l= base:d= gone:r=
oClaim 19 conflict:a on:r=true
oResolve 20 conflict:a choice:aZ version:d at:k fields:l=
oReopen 21 conflict:a
oSetBack 22 space:a user:a lesson:a percent:at=
oHold 23 streams:bb quota_bytes:d=
oRelease 24 item:a
oDiscard 25 item:a
oMakeRole 30 space:a name:ag permissions:d
oChangeRole 31 space:a role:a name:ag permissions:d
oDropRole 32 space:a role:a
oGiveRole 33 space:a role:a user:a
oTakeRole 34 space:a role:a user:a
oEndorse 40 space:a user:a
oWithdrawEndorsement 41 space:a user:a
oReportMessage 45 stream:a target:a reason:as words:ax=
oReportPerson 46 user:a reason:as words:ax= space:d= profile:r=
oDecideReport 47 report:a uphold:r
oBlock 48 user:a
oUnblock 49 user:a
oSetSlowMode 50 stream:a seconds:bc
oProposeMentorship 65 user:a space:d subject:aw words:ax=
oAnswerMentorship 66 mentorship:a accept:r words:ax=
oEndMentorship 67 mentorship:a reached:r rating:bd words:ax=
oWithdrawProposal 68 mentorship:a
oDecideHeld 75 held:a release:r
oAppeal 76 held:a words:ax=
oDecideAppeal 77 held:a uphold:r
oSetModeration 78 space:a check_first:r= levels:bf= mask:r=true
oAskQuestions 85 stream:a lesson:d= content:d= language:bg= limit:aT=10
oCreateDocument 86 space:a title:ag read_roles:aX=15 write_roles:aX=15
oChangeDocument 87 document:a title:ag read_roles:aX write_roles:aX archived:r=
oUpdate 88 document:a generation:an update:bh checksum:bi
oNameVersion 89 document:a upto:a name:ag
oRestoreVersion 90 document:a version:a
f~Person 55 id:C user:a name:h display_name:h
f~RecordPage 58 id:C stream:a head:d records:bk more:r
f~ConflictPage 59 id:C conflicts:bm more:r
f~UnappliedPage 60 id:C items:bo more:r
f~VersionPage 61 id:C versions:bq more:r
f~Inherited 62 id:C settled:bs
f~Holdings 63 id:C streams:bt quota_bytes:j
f~ReportPage 67 id:C reports:bv more:r
f~MentorsFound 71 id:J mentors:bx considered:j fitting:j by:h degraded:h= ticket:d=
f~MentorsLater 72 id:C ticket:a
f~MentorshipPage 73 id:C mentorships:bz more:r
f~HeldPage 74 id:C items:bB more:r
f~IsAware 75 document:a user:a data:P
f~DocumentPart 76 id:C document:a generation:an upto:d size:J offset:J data:P
f~DocumentVersionPage 77 id:C versions:bD more:r
f~Found 80 id:C messages:bF next:P=
b~Redacted 5
b~CommunityFounded 10 name:ag
b~Joined 11 user:a role:i display_name:ag
b~Left 12 user:a by:d
b~RoleSet 13 user:a role:i
b~ChannelOpened 14 stream:a name:ag read_roles:aX write_roles:aX
b~ChannelChanged 15 stream:a name:ag read_roles:aX write_roles:aX
b~SettingsChanged 16 name:ag open_to_all:r settings:aW
b~Renamed 17 user:a display_name:ag
b~Changed 30 records:bk
b~SessionRevoked 40 user:a session:J
b~AuthorityChanged 41 space:a user:d
b~TrustChanged 43 people:bH
b~RoleMade 50 role:a name:ag permissions:d
b~RoleChanged 51 role:a name:ag permissions:d
b~RoleDropped 52 role:a
b~RoleGiven 53 role:a user:a
b~RoleTaken 54 role:a user:a
b~Reported 57 report:a about:ay user:a reason:as stream:d= seq:d=
b~ReportDecided 58 report:a state:ay by:d
b~SlowModeSet 60 stream:a seconds:J
b~MentorshipNoted 70 mentorship:a mentor:a learner:a state:ap community:d= space:d= by:d= words:ax=
b~MentorshipBegan 71 mentorship:a mentor:a learner:a community:d=
b~MentorshipSaidOver 72 reached:r words:ax=
b~MentorshipClosed 73 state:ap by:d=
b~TakenBack 76 target:a why:as
b~HeldForReview 77 held:a form:ah state:ap user:a why:as stream:d= seq:d=
b~HeldDecided 78 held:a state:ap by:d appealed:r=
b~ModerationSet 79 check_first:r levels:bf= mask:r=true
b~Updated 80 update:bh checksum:bi
b~DocumentOpened 81 document:a title:ag read_roles:aX write_roles:aX
b~DocumentChanged 82 document:a title:ag read_roles:aX write_roles:aX archived:r=
b~VersionNamed 83 version:a upto:d name:ag
b~Restarted 84 generation:an version:d=
b~SetAside 85 events:bI`;function n(){a("Change")||e(r)}export{n as a};
